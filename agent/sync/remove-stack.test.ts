import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { removedStack } from '../../test/agent/held-deletions.ts';
import { configMap, configMapId, type TargetStack, until } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { checksumAnnotation, isOwnApply, stackLabel } from '../object/kube-object.ts';

const simulated = suite('removing a stack, simulated cluster');
const real = suite('removing a stack, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { admin, agents, start }: ClusterContext): void {
  const inventory = () => admin.list({ apiVersion: 'v1', kind: 'ConfigMap' }, agents.namespace);
  const has = async (prefix: string) => (await inventory()).some(({ metadata }) => metadata.name.startsWith(prefix));
  const { stack, apply, requestRemoval } = removedStack;
  /** Checks that an object is there with this data, and that nothing of the stack is left on it. */
  const expectReleased = async (name: string, data: Record<string, string>) => {
    const live = await admin.get(configMapId(name));
    assert.equal(live?.data, data);
    assert.is(live?.metadata.labels?.[stackLabel], undefined);
    assert.is(live?.metadata.annotations?.[checksumAnnotation], undefined);
    assert.not.ok(live?.metadata.managedFields?.some(isOwnApply), 'the agent owns no field any more');
  };

  test('deletes what the inventory lists, acknowledges, and forgets it once the broker has', async () => {
    const testAgent = await start();
    await admin.create(configMap('stranger', { k: '1' }, 'default'));
    await apply(testAgent, [configMap('going-a', { k: '1' }), configMap('going-b', { k: '1' })]);
    const { outcome, generation } = await requestRemoval(testAgent);
    assert.is(outcome, 'removed');
    assert.is(generation, 2n);
    assert.is(await admin.get(configMapId('going-a')), undefined);
    assert.ok(await admin.get(configMapId('stranger')));
    assert.ok(await has('brokkr-inv-'), 'a note stays until the broker knows');
    testAgent.setTarget([]);
    await until(async () => !(await has('brokkr-inv-')), 'the inventory to go');
  });

  test('forgets it too when another process had acknowledged it', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('going-a', { k: '1' })]);
    await requestRemoval(testAgent);
    await testAgent.close();
    const next = await start({ namespace: agents.namespace });
    assert.ok(await has('brokkr-inv-'), 'the note is there');
    next.setTarget([]);
    await until(async () => !(await has('brokkr-inv-')), 'the inventory to go');
  });

  test('ignores an outdated target state after a removal', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('once', { k: '1' })]);
    await requestRemoval(testAgent);
    const events = testAgent.events.length;
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd', objects: [configMap('once', { k: '1' })] }]);
    testAgent.setTarget([]);
    await until(async () => !(await has('brokkr-inv-')), 'the inventory to go');
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd', objects: [configMap('once', { k: '1' })] }]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.is(await admin.get(configMapId('once')), undefined);
    assert.is(testAgent.events.length, events);
  });

  test('deletes nothing that is merely absent', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('absent', { k: '1' })]);
    testAgent.setTarget([]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(await admin.get(configMapId('absent')));
    assert.ok(await has('brokkr-inv-'));
  });

  test('removes after a restart what it had applied before, and only that', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('before', { k: '1' })]);
    await testAgent.close();
    const again = await start({ namespace: agents.namespace });
    assert.is((await requestRemoval(again)).outcome, 'removed');
    assert.is(await admin.get(configMapId('before')), undefined);
  });

  test('removes by the kinds of the entry when its inventory is lost', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('lost', { k: '1' })]);
    await testAgent.close();
    await admin.remove(configMapId(`brokkr-inv-${stack}-0`, agents.namespace));
    const again = await start({ namespace: agents.namespace });
    assert.is((await requestRemoval(again)).outcome, 'removed');
    assert.is(await admin.get(configMapId('lost')), undefined);
  });

  test('leaves the objects of an orphaned stack, without its marks, by a patch of nothing else', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('orphan', { k: '1' })]);
    const id = configMapId('orphan');
    await admin.edit(id, (live) => ({ ...live, data: { k: '1', theirs: '2' } }));
    testAgent.writes.length = 0;
    assert.is((await requestRemoval(testAgent, { onDelete: 'orphan' })).outcome, 'removed');
    await expectReleased('orphan', { k: '1', theirs: '2' });
    assert.equal(testAgent.objectWrites(), ['patch ConfigMap default/orphan']);
  });

  test('takes its marks off what may not be pruned, by a patch of nothing else', async () => {
    const testAgent = await start();
    const kept = configMap('kept', { k: '1' });
    const annotations = { 'k8s.brokkr.io/prune': 'disabled' };
    await apply(testAgent, [{ ...kept, metadata: { ...kept.metadata, annotations } }]);
    testAgent.writes.length = 0;
    assert.is((await requestRemoval(testAgent)).outcome, 'removed');
    await expectReleased('kept', { k: '1' });
    assert.equal(testAgent.objectWrites(), ['patch ConfigMap default/kept']);
    assert.equal((await admin.get(configMapId('kept')))?.metadata.annotations, annotations);
  });

  test('waits for what a finalizer holds', async () => {
    const testAgent = await start();
    const held = configMap('finalized', { k: '1' });
    await apply(testAgent, [{ ...held, metadata: { ...held.metadata, finalizers: ['example.org/wait'] } }]);
    const { outcome, message } = await requestRemoval(testAgent);
    assert.is(outcome, 'waiting');
    const gone = 'waiting until ConfigMap default/finalized is gone, which waits for its finalizer example.org/wait';
    assert.is(message, gone);
    const removed = testAgent.nextEvent(stack, 'removed');
    await admin.edit(configMapId('finalized'), (live) => ({ ...live, metadata: { ...live.metadata, finalizers: [] } }));
    await removed;
  });

  test('continues after the namespace of its inventory was deleted', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('homeless', { k: '1' })]);
    await admin.remove({ apiVersion: 'v1', kind: 'Namespace', namespace: '', name: agents.namespace });
    await until(
      async () => !(await admin.get({ apiVersion: 'v1', kind: 'Namespace', namespace: '', name: agents.namespace })),
      'the namespace to go',
    );
    const reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: stack, order: 2n, deploymentId: 'e', objects: [configMap('homeless', { k: '2' })] },
    ]);
    await reported;
    assert.ok(await has('brokkr-inv-'));
  });

  test('keeps what it has when a restored broker knows less, until something newer arrives', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { stackId: stack, order: 9n, deploymentId: 'new', objects: [configMap('ahead', { k: 'new' })] },
    ]);
    await reported;
    const ahead = testAgent.nextEvent(stack);
    const old: TargetStack = {
      stackId: stack,
      order: 5n,
      deploymentId: 'old',
      objects: [configMap('ahead', { k: 'old' })],
    };
    testAgent.setTarget([old], { epoch: 2n });
    assert.is((await ahead).outcome, 'ahead');
    assert.equal((await admin.get(configMapId('ahead')))?.data, { k: 'new' });
    const moved = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ ...old, order: 11n }], { epoch: 2n });
    await moved;
    assert.equal((await admin.get(configMapId('ahead')))?.data, { k: 'old' });
  });
}
