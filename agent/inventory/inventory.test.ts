import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMapId, connect, openSimulatedCluster, stackId } from '../../test/agent/test-agent.ts';
import { ensureNamespace } from '../kube/cluster-identity.ts';
import { createInventories, InventoryConflict, type InventoryItem } from './inventory.ts';

const testCluster = await openSimulatedCluster();
const cluster = connect(testCluster.source);
const { signal } = new AbortController();
const namespace = 'brokkr';
await ensureNamespace(cluster, namespace, signal);
const inventories = createInventories(cluster, namespace);
const header = {
  stack: 'ci/web',
  generator: 'ci',
  epoch: 1n,
  order: 7n,
  generation: 3n,
  deploymentId: 'd',
  removed: false,
};

const inventory = suite('inventory');
inventory.after(async () => {
  cluster.close();
  await testCluster.close();
});

inventory('keeps thousands of objects in shards, each well below what an object may hold', async () => {
  const stack = stackId('large');
  const items = many(4_000);
  const saved = await inventories.save(await inventories.load(stack, signal), header, items, signal);
  assert.ok(saved.shards.length > 1);
  const loaded = await inventories.load(stack, signal);
  assert.ok(loaded.whole);
  assert.is(loaded.items.size, 4_000);
  assert.equal(loaded.header, { ...header, shards: loaded.shards.length });
  for (const { data } of await testCluster.admin.list({ apiVersion: 'v1', kind: 'ConfigMap' }, namespace))
    assert.ok(JSON.stringify(data ?? '').length <= 512 << 10);
});

inventory('writes only the shards that change', async () => {
  const stack = stackId('large');
  const loaded = await inventories.load(stack, signal);
  testCluster.simulated?.clearRequests();
  await inventories.save(loaded, header, loaded.items.values(), signal);
  assert.is(testCluster.simulated?.requests.length, 0);
  const [first] = loaded.items.values();
  await inventories.save(loaded, header, [...loaded.items.values()].with(0, { ...first!, uid: 'another' }), signal);
  assert.is(testCluster.simulated?.requests.length, 1);
});

inventory('is not whole without its header or one of its shards', async () => {
  for (const index of [0, 1]) {
    const stack = stackId(`damaged ${index}`);
    await inventories.save(await inventories.load(stack, signal), header, many(4_000), signal);
    await testCluster.admin.remove(configMapId(`brokkr-inv-${stack}-${index}`, namespace));
    const loaded = await inventories.load(stack, signal);
    assert.not.ok(loaded.whole);
    assert.ok(loaded.items.size > 0);
    const saved = await inventories.save(loaded, header, loaded.items.values(), signal);
    assert.ok(saved.whole, 'writing makes it whole');
  }
});

inventory('refuses to write over what somebody else wrote', async () => {
  const stack = stackId('raced');
  const empty = await inventories.load(stack, signal);
  const saved = await inventories.save(empty, header, many(1), signal);
  for (const stale of [empty, { ...saved, shards: [{ ...saved.shards[0]!, resourceVersion: '1' }] }]) {
    const refused = await inventories.save(stale, header, many(2), signal).catch((error: unknown) => error);
    assert.instance(refused, InventoryConflict);
  }
});

inventory('is never taken for missing because of a proxy’s error page', async () => {
  const stack = stackId('hidden');
  await inventories.save(await inventories.load(stack, signal), header, many(1), signal);
  const heal = testCluster.simulated!.faults.add({ pathIncludes: '/configmaps', status: 404 });
  for (const read of [() => inventories.load(stack, signal), () => inventories.loadAll(signal)]) {
    const outcome = await read().then(
      () => 'read',
      () => 'failed',
    );
    assert.is(outcome, 'failed');
  }
  heal();
  assert.is((await inventories.load(stack, signal)).items.size, 1);
});

inventory('ends with all its shards', async () => {
  await inventories.remove(await inventories.load(stackId('large'), signal), signal);
  const left = await inventories.load(stackId('large'), signal);
  assert.is(left.shards.length, 0);
  assert.ok((await inventories.loadAll(signal)).has(stackId('raced')));
});

inventory.run();

function many(count: number): InventoryItem[] {
  const uid = '01234567-0123-0123-0123-0123456789ab';
  return Array.from({ length: count }, (_, index) => ({
    id: configMapId(`many-${String(index).padStart(150, '0')}`),
    uid,
  }));
}
