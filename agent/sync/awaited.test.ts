import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { customResourceDefinition, removedStack } from '../../test/agent/held-deletions.ts';
import { configMap, configMapId, openSimulatedCluster, stackId } from '../../test/agent/test-agent.ts';
import { agentsOn, applyStack } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import type { KubeObject } from '../object/kube-object.ts';

const simulated = suite('what comes or goes by itself, simulated cluster');
const real = suite('what comes or goes by itself, real API server');
const slow = suite('definitions that are served late, simulated cluster');
await onBothClusters(simulated, needs('go') && real, describe);
describeSlow(await openSimulatedCluster({ establishMs: 12_000 }));
simulated.run();
real.run();
slow.run();

function describe(test: typeof simulated, { admin, start }: ClusterContext): void {
  const { stack, removal } = removedStack;
  const finalizer = 'service.kubernetes.io/load-balancer-cleanup';
  const held = (name: string): KubeObject => {
    const object = configMap(name, { k: '1' });
    return { ...object, metadata: { ...object.metadata, finalizers: [finalizer] } };
  };
  const letGo = (name: string) =>
    admin.edit(configMapId(name), (live) => ({ ...live, metadata: { ...live.metadata, finalizers: [] } }));

  test('a revision that drops what a finalizer holds waits, says for which, and is applied once it is gone', async () => {
    const testAgent = await start();
    await applyStack(testAgent, { stackId: stack, order: 1n, deploymentId: 'd', objects: [held('dropped')] });
    const waiting = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'e', objects: [configMap('kept', { k: '2' })] }]);
    const { outcome, message } = await waiting;
    assert.is(outcome, 'waiting');
    assert.is(message, `waiting until ConfigMap default/dropped is gone, which waits for its finalizer ${finalizer}`);
    assert.ok(await admin.get(configMapId('kept')), 'the rest is applied');
    const applied = testAgent.nextEvent(stack, 'applied');
    await letGo('dropped');
    await applied;
    assert.not(testAgent.events.some((event) => event.outcome === 'failed'));
  });

  test('a revision that lists an object again which is being deleted waits for it', async () => {
    const testAgent = await start();
    const objects = [held('again')];
    await applyStack(testAgent, { stackId: stack, order: 1n, deploymentId: 'd', objects });
    const waiting = testAgent.nextEvent(stack, 'waiting');
    await admin.remove(configMapId('again'));
    assert.match((await waiting).message, /ConfigMap default\/again is gone, which waits for its finalizer/);
    const applied = testAgent.nextEvent(stack, 'applied');
    await letGo('again');
    await applied;
    await letGo('again');
  });

  test('a removal waits for a namespace, and says what is left in it', async () => {
    const testAgent = await start();
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'awaited' } };
    const object = held('inside');
    const inside = { ...object, metadata: { ...object.metadata, namespace: 'awaited' } };
    await applyStack(testAgent, { stackId: stack, order: 1n, deploymentId: 'd', objects: [namespace, inside] });
    const waiting = testAgent.nextEvent(stack);
    testAgent.setTarget([removal]);
    const { outcome, message } = await waiting;
    assert.is(outcome, 'waiting');
    assert.match(message, /ConfigMap awaited\/inside is gone, which waits for its finalizer/);
    const removed = testAgent.nextEvent(stack, 'removed');
    const id = configMapId('inside', 'awaited');
    await admin.edit(id, (live) => ({ ...live, metadata: { ...live.metadata, finalizers: [] } }));
    await removed;
  });

  test('what is to be created in a namespace that is being deleted waits until that is gone', async () => {
    const testAgent = await start();
    const id = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: 'ending' };
    await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ending' } });
    const object = held('last');
    await admin.create({ ...object, metadata: { ...object.metadata, namespace: 'ending' } });
    await admin.remove(id);
    const reported = testAgent.nextEvent(stack);
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ending' } };
    const objects = [namespace, configMap('first', { k: '1' }, 'ending')];
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd', objects }]);
    const { outcome, message } = await reported;
    assert.is(outcome, 'waiting', message);
    const applied = testAgent.nextEvent(stack, 'applied');
    const last = configMapId('last', 'ending');
    await admin.edit(last, (live) => ({ ...live, metadata: { ...live.metadata, finalizers: [] } }));
    await applied;
    assert.ok(await admin.get(configMapId('first', 'ending')));
  });
}

function describeSlow(testCluster: Awaited<ReturnType<typeof openSimulatedCluster>>): void {
  const agents = agentsOn(slow, testCluster);

  slow('a definition that takes longer than a pass is waited for, with what needs it', async () => {
    const testAgent = await agents.start();
    const stack = stackId('late kind');
    const late = { apiVersion: 'late.example.org/v1', kind: 'Late', metadata: { name: 'one', namespace: 'default' } };
    const waiting = testAgent.nextEvent(stack);
    const definition = customResourceDefinition('late.example.org', 'Late', true);
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd', objects: [definition, late] }]);
    const { outcome, message } = await waiting;
    assert.is(outcome, 'waiting', message);
    assert.match(message, /waits for CustomResourceDefinition lates.late.example.org: it is not established yet/);
    await testAgent.nextEvent(stack, 'applied');
    assert.not(testAgent.events.some((event) => event.outcome === 'failed'));
  });
}
