import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stackId } from '../../test/agent/test-agent.ts';
import type { Inventory } from '../inventory/inventory.ts';
import { createOwnership } from '../inventory/object-owners.ts';
import type { InventoryHeader } from '../inventory/shards.ts';
import type { Entry } from '../target/target-state.ts';
import { createStackStore } from './stack-store.ts';

const test = suite('store of desired stacks');
const [first, second] = [stackId('first'), stackId('second')];

test('names the stacks that a state changes, adds or no longer lists', () => {
  const { accept, dueAfter } = open();
  assert.equal(dueAfter({ entries: [entry(first), entry(second)] }), [first, second]);
  assert.equal(dueAfter({ entries: [entry(first), entry(second)] }), [], 'nothing has changed');
  assert.equal(dueAfter({ entries: [entry(first, { order: 2n, deploymentId: 'next' }), entry(second)] }), [first]);
  assert.equal(dueAfter({ entries: [entry(second)] }), [first]);
  assert.is(accept({ entries: [entry(second)] }).verdict, 'taken');
});

test('takes nothing of a state whose epoch is over', () => {
  const { accept, store } = open();
  accept({ epoch: 2n, entries: [entry(first)] });
  assert.equal(accept({ epoch: 1n, entries: [] }), { verdict: 'old', due: new Set() });
  assert.ok(store.entryOf(first));
  assert.is(store.epoch, 2n);
});

test('ignores an entry that is older than the accepted one, and says so', () => {
  const { accept, store } = open();
  accept({ entries: [entry(first, { order: 5n, deploymentId: 'new' })] });
  const { verdict, due } = accept({ entries: [entry(first, { order: 4n, deploymentId: 'old' })] });
  assert.is(verdict, 'doubtful');
  assert.is(due.size, 0);
  assert.is(store.entryOf(first)?.deploymentId, 'new');
  assert.is(store.order, 5n);
});

test('lists nothing of a stack that is ahead of a restored broker, and processes it to report that', () => {
  const { accept, dueAfter, store } = open();
  accept({ entries: [entry(first, { order: 5n, deploymentId: 'new' })] });
  assert.equal(dueAfter({ epoch: 2n, entries: [entry(first, { order: 4n, deploymentId: 'old' })] }), [first]);
  assert.is(store.entryOf(first), undefined);
  assert.is(store.get(first)?.ahead?.deploymentId, 'old');
  assert.equal(
    store.held(),
    [{ stackId: first, deploymentId: 'new', order: 5n }],
    'it still holds the newer deployment',
  );
});

test('changes nothing while it is paused, and processes every listed stack afterwards', () => {
  const { accept, dueAfter, store } = open();
  accept({ entries: [entry(first)] });
  assert.equal(dueAfter({ paused: true, entries: [] }), []);
  assert.ok(store.isPaused);
  assert.ok(store.entryOf(first), 'a pause removes nothing');
  assert.equal(dueAfter({ entries: [entry(first)] }), [first]);
  assert.not(store.isPaused);
});

test('begins with what the inventories hold, apart from removed stacks', () => {
  const { store, dueAfter } = open([
    [first, header({ order: 3n })],
    [second, header({ order: 4n, epoch: 2n, removed: true })],
  ]);
  assert.equal(store.held(), [{ stackId: first, deploymentId: 'd', order: 3n }]);
  assert.is(store.epoch, 2n);
  assert.is(store.order, 4n);
  assert.is(store.get(first)?.progress.kind, 'begun');
  assert.equal(dueAfter({ epoch: 2n, entries: [] }), [second], 'what is left of the removed one can be deleted');
  assert.equal(store.counts, { stacks: 0, unsettled: 0 });
});

test.run();

interface StateChange {
  readonly epoch?: bigint;
  readonly paused?: boolean;
  readonly entries: readonly Entry[];
}

function open(headers: readonly (readonly [string, InventoryHeader])[] = []) {
  const inventories = headers.map(
    ([id, found]) => [id, { header: found, items: new Map() } as unknown as Inventory] as const,
  );
  const store = createStackStore(new Map(inventories), createOwnership());
  const accept = ({ epoch = 1n, paused = false, entries }: StateChange) =>
    store.accept({ epoch, paused, entries, generators: [] });
  return { store, accept, dueAfter: (change: StateChange) => [...accept(change).due] };
}

function header(more: Partial<InventoryHeader>): InventoryHeader {
  const { stack, generator, epoch, order, generation, deploymentId } = {
    stack: 'ci/web',
    generator: 'ci',
    epoch: 1n,
    order: 1n,
    generation: 1n,
    deploymentId: 'd',
  };
  return { stack, generator, epoch, order, generation, deploymentId, removed: false, shards: 1, ...more };
}

function entry(id: string, more: Partial<Entry> = {}): Entry {
  const placement = {
    stackId: id,
    stack: 'web',
    generator: 'ci',
    deploymentId: 'd',
    order: 1n,
    generation: 1n,
  } as const;
  const settings = {
    drift: 'repair',
    conflict: 'adopt',
    forceReplace: false,
    dependsOnIds: [],
    ignoredFields: [],
    onDelete: 'prune',
  } as const;
  const removal = { held: false, confirmed: false, confirmedKeys: [], kinds: [] };
  return {
    ...placement,
    ...settings,
    ...removal,
    state: 'active',
    checksum: 'c',
    serviceAccount: '',
    ...more,
  } as Entry;
}
