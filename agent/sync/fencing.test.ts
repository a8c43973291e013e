import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { createForeignWriter } from '../../test/agent/foreign-writer.ts';
import { configMap, configMapId, stackId, type TargetStack, until } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { textAt } from '../object/kube-object.ts';

const simulated = suite('a process that another one has overtaken, simulated cluster');
const real = suite('a process that another one has overtaken, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const orderOf = async (stack: string) => {
    const header = await admin.get(configMapId(`brokkr-inv-${stack}-0`, agents.namespace));
    return (JSON.parse(textAt(header, 'data', 'header') ?? '{}') as { order?: string }).order;
  };
  /** Two processes on one inventory, of which the second does not know that the first goes on. */
  const startTwo = async () => [await start(), await start({ namespace: agents.namespace, resyncMs: 30 })] as const;
  const foreignWriter = createForeignWriter(testCluster);
  /** Waits for some passes of its resync. */
  const somePasses = () => delay(500);

  test('neither prunes nor overwrites what the other process applied, and does not report it', async () => {
    const stack = stackId('pruned');
    const [newer, stale] = await startTwo();
    const first: TargetStack = {
      stackId: stack,
      order: 7n,
      deploymentId: 'a',
      objects: [configMap('both', { k: '1' })],
    };
    const applied = stale.nextEvent(stack, 'applied');
    stale.setTarget([first]);
    await applied;
    const reported = newer.nextEvent(stack, 'applied');
    const objects = [configMap('both', { k: '2' }), configMap('added', { k: '1' })];
    newer.setTarget([{ ...first, order: 8n, deploymentId: 'b', objects }]);
    await reported;
    const { length } = stale.events;
    await somePasses();
    assert.ok(await admin.get(configMapId('added')));
    assert.equal((await admin.get(configMapId('both')))?.data, { k: '2' });
    assert.is(await orderOf(stack), '8');
    assert.is(stale.events.length, length);
    assert.equal(stale.stacks.held(), [{ stackId: stack, deploymentId: 'b', order: 8n }]);

    const next = stale.nextEvent(stack, 'applied');
    stale.setTarget([{ ...first, order: 9n, deploymentId: 'c' }]);
    await next;
    assert.is(await admin.get(configMapId('added')), undefined, 'it continues when something newer arrives');
  });

  for (const onDelete of ['prune', 'orphan'] as const) {
    test(`completes no removal (${onDelete}) of what the other process has applied again`, async () => {
      const stack = stackId(`removed-${onDelete}`);
      const name = `again-${onDelete}`;
      const [newer, stale] = await startTwo();
      const active: TargetStack = {
        stackId: stack,
        order: 8n,
        deploymentId: 'a',
        objects: [configMap(name, { k: '1' })],
      };
      const applied = newer.nextEvent(stack, 'applied');
      newer.setTarget([{ ...active, order: 10n, generation: 10n }]);
      await applied;
      const removal: TargetStack = { stackId: stack, order: 9n, generation: 9n, state: 'removing', onDelete };
      stale.setTarget([{ ...removal, deploymentId: 'a', kinds: ['v1/ConfigMap'] }]);
      await somePasses();
      const live = await admin.get(configMapId(name));
      assert.is(live?.metadata.labels?.['k8s.brokkr.io/stack-id'], stack);
      assert.is(stale.events.length, 0);
    });
  }

  test('repairs nothing once the other process has applied something newer', async () => {
    if (!testCluster.simulated) return;
    const stack = stackId('repaired');
    const [newer, stale] = await startTwo();
    const first: TargetStack = {
      stackId: stack,
      order: 7n,
      deploymentId: 'a',
      objects: [configMap('mended', { k: '1' })],
    };
    const applied = stale.nextEvent(stack, 'applied');
    stale.setTarget([first]);
    await applied;
    let isSent = false;
    // By then the pass has seen the drift, and will not write its inventory, which does not change.
    const forget = testCluster.simulated.onRequest(async ({ method, path, query }) => {
      if (isSent || method !== 'PATCH' || !path.endsWith('/mended') || !query.includes('dryRun')) return;
      isSent = true;
      const done = newer.nextEvent(stack, 'applied');
      const objects = [configMap('mended', { k: '2' })];
      newer.setTarget([{ ...first, order: 8n, deploymentId: 'b', objects }]);
      await done;
    });
    const { length } = stale.events;
    const writes = stale.objectWrites().length;
    await foreignWriter.patch(configMapId('mended'), { data: { k: 'foreign' } });
    await until(() => stale.stacks.order === 8n, 'the stale process to find out');
    forget();
    assert.ok(isSent);
    assert.equal(stale.objectWrites().slice(writes), []);
    assert.equal(stale.events.slice(length), []);
    assert.equal((await admin.get(configMapId('mended')))?.data, { k: '2' });
  });

  for (const isRemoval of [false, true]) {
    const how = isRemoval ? 'removal' : 'prune';
    test(`stops in the middle of a ${how} when the other process begins`, async () => {
      if (!testCluster.simulated) return;
      const stack = stackId(`midway-${how}`);
      const [kept, dropped] = [`stays-${how}`, `dropped-${how}`];
      const [newer, stale] = await startTwo();
      const both = [configMap(kept, { k: '1' }), configMap(dropped, { k: '1' })];
      const first: TargetStack = { stackId: stack, order: 1n, deploymentId: 'a', objects: both };
      for (const testAgent of [stale, newer]) {
        const applied = testAgent.nextEvent(stack, 'applied');
        testAgent.setTarget([first]);
        await applied;
      }
      const uid = (await admin.get(configMapId(dropped)))?.metadata.uid;
      let isSent = false;
      // By then the plan is made, and the inventory saved: the other process receives it, and ends, before it continues.
      const forget = testCluster.simulated.onRequest(async ({ method, path }) => {
        if (isSent || method !== 'GET' || !path.endsWith(`/brokkr-inv-${stack}-0`)) return;
        isSent = true;
        const done = newer.nextEvent(stack, 'applied');
        newer.setTarget([{ ...first, order: 3n, generation: 3n, deploymentId: 'c' }]);
        await done;
      });
      stale.setTarget([
        isRemoval
          ? { stackId: stack, order: 2n, generation: 2n, deploymentId: 'a', state: 'removing', kinds: ['v1/ConfigMap'] }
          : { ...first, order: 2n, deploymentId: 'b', objects: [configMap(kept, { k: '1' })] },
      ]);
      await until(() => stale.stacks.order === 3n, 'the stale process to find out');
      forget();
      assert.ok(isSent);
      assert.is((await admin.get(configMapId(dropped)))?.metadata.uid, uid);
    });
  }
}
