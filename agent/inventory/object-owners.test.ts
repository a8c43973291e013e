import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createOwnership } from './object-owners.ts';

const ownership = suite('ownership');
const stackView =
  (desiredKeys: readonly string[], generator = 'ci') =>
  (stackId: string) => ({
    stackId,
    stack: `${generator}/${stackId}`,
    generator,
    desired: new Set(desiredKeys),
  });

ownership('grants one of two claims, and releases what is not kept', () => {
  const owners = createOwnership();
  const first = owners.claim({ stackId: 'a', generator: 'ci' }, ['x'], stackView([]));
  assert.is(first.conflicts.size, 0);
  assert.is(owners.claim({ stackId: 'b', generator: 'ci' }, ['x', 'y'], stackView([])).conflicts.size, 1);
  first.release();
  const second = owners.claim({ stackId: 'b', generator: 'ci' }, ['x', 'y'], stackView([]));
  second.keep();
  assert.is(owners.ownerOf('x'), 'b');
});

ownership('hands over what the owner no longer desires, within one generator only', () => {
  const owners = createOwnership();
  owners.claim({ stackId: 'a', generator: 'ci' }, ['x'], stackView([])).keep();
  assert.is(owners.claim({ stackId: 'b', generator: 'ci' }, ['x'], stackView(['x'])).conflicts.get('x'), 'stack ci/a');
  assert.is(
    owners.claim({ stackId: 'b', generator: 'other' }, ['x'], stackView([])).conflicts.get('x'),
    'a stack of another generator',
  );
  const taken = owners.claim({ stackId: 'b', generator: 'ci' }, ['x'], stackView([])).keep();
  assert.equal([...taken], ['a']);
});

ownership.run();
