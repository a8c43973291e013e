import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseFieldPath } from './field-path.ts';

const test = suite('paths of fields');
const name = (text: string) => ({ kind: 'name', name: text });

test('name fields, also those whose names have dots', () => {
  assert.equal(parseFieldPath('.spec.replicas'), [name('spec'), name('replicas')]);
  assert.equal(parseFieldPath('.metadata.annotations."a.b/c"'), [name('metadata'), name('annotations'), name('a.b/c')]);
});

test('select items of lists', () => {
  const caBundle = [name('clientConfig'), name('caBundle')];
  assert.equal(parseFieldPath('.webhooks[*].clientConfig.caBundle'), [name('webhooks'), { kind: 'all' }, ...caBundle]);
  assert.equal(parseFieldPath('.webhooks[name=x.io].clientConfig.caBundle'), [
    name('webhooks'),
    { kind: 'items', field: 'name', value: 'x.io' },
    ...caBundle,
  ]);
});

test('are refused when they are no paths', () => {
  for (const text of [
    '',
    'spec',
    '.',
    '.a..b',
    '.a[',
    '.a[0]',
    '.a[=x]',
    '.a[b=]',
    '.a[*][*]',
    '[*]',
    '.a b',
    '."',
    '.a."b',
  ])
    assert.is(parseFieldPath(text), undefined, text);
});

test.run();
