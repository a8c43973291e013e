import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultEntry, stackId } from '../../test/agent/test-agent.ts';
import { admitEntry } from './admission.ts';
import type { Entry } from './target-state.ts';

const entry = (more: Partial<Entry>): Entry => ({
  ...defaultEntry,
  stackId: stackId('s'),
  deploymentId: 'd5',
  revision: 5,
  order: 5n,
  ...more,
});

const order = suite('order and epoch');

order('takes what is new, ignores what is older, within an epoch', () => {
  const seen = { epoch: 1n, order: 5n, deploymentId: 'd5' };
  assert.is(admitEntry(entry({}), 1n, undefined), 'take');
  assert.is(admitEntry(entry({ order: 6n, deploymentId: 'd6' }), 1n, seen), 'take');
  assert.is(admitEntry(entry({}), 1n, seen), 'take');
  assert.is(admitEntry(entry({ order: 4n }), 1n, seen), 'stale');
  assert.is(admitEntry(entry({ order: 4n, state: 'removing' }), 1n, seen), 'stale');
  assert.is(admitEntry(entry({ deploymentId: 'another' }), 1n, seen), 'stale', 'one order means one deployment');
});

order('refuses an epoch that is over', () => {
  assert.is(admitEntry(entry({ order: 9n }), 1n, { epoch: 2n, order: 5n, deploymentId: 'd5' }), 'stale');
});

order('keeps what it has in a new epoch, until it is told something newer or a removal is confirmed', () => {
  const seen = { epoch: 1n, order: 7n, deploymentId: 'd7' };
  assert.is(admitEntry(entry({}), 2n, seen), 'ahead');
  assert.is(admitEntry(entry({ order: 7n }), 2n, seen), 'ahead');
  assert.is(admitEntry(entry({ order: 8n }), 2n, seen), 'take');
  assert.is(admitEntry(entry({ state: 'removing' }), 2n, seen), 'stale');
  assert.is(admitEntry(entry({ state: 'removing', held: true }), 2n, seen), 'take');
  assert.is(admitEntry(entry({ state: 'removing', confirmed: true }), 2n, seen), 'take');
});

order.run();
