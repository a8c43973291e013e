import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { customResourceDefinition, removedStack, statefulSet } from '../../test/agent/held-deletions.ts';
import { configMap, configMapId } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import type { KubeObject, ObjectId } from '../object/kube-object.ts';

const simulated = suite('holding what has volume claims, simulated cluster');
const real = suite('holding what has volume claims, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, start }: ClusterContext): void {
  const { apply, requestRemoval } = removedStack;
  const claimOf = (name: string, namespace = 'default') => ({ ...volumeClaim, namespace, name });
  /** As an operator would: owned by one of these. */
  const createOwned = async (object: KubeObject, { apiVersion, kind, namespace, name }: ObjectId) => {
    const { metadata } = (await admin.get({ apiVersion, kind, namespace, name }))!;
    const ownerReferences = [{ apiVersion, kind, name, uid: metadata.uid ?? '' }];
    await admin.create({ ...object, metadata: { namespace, ...object.metadata, ownerReferences } });
  };

  test('holds a volume claim, whose data would be lost', async () => {
    const testAgent = await start();
    await apply(testAgent, [claim('precious')]);
    const { outcome, changes } = await requestRemoval(testAgent, { kinds: ['v1/PersistentVolumeClaim'] });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'data would be lost');
  });

  test('holds a stateful set that takes its volume claims with it', async () => {
    const testAgent = await start();
    await apply(testAgent, [
      statefulSet('takes', 'Delete', ['data']),
      statefulSet('keeps', 'Retain', ['data']),
      statefulSet('has-none', 'Delete', []),
    ]);
    const kinds = ['apps/v1/StatefulSet'];
    const { outcome, changes, heldKeys } = await requestRemoval(testAgent, { kinds });
    assert.is(outcome, 'held');
    assert.equal(
      changes.map(({ object, message }) => `${object.name}: ${message}`),
      ['takes: its data would be lost'],
    );
    assert.is(
      (await requestRemoval(testAgent, { kinds, confirmed: true, confirmedKeys: heldKeys })).outcome,
      'removed',
    );
  });

  test('holds what owns a volume claim, itself or through others', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('owner', {}), configMap('root', {}), configMap('plain', {})]);
    await createOwned(claim('data-of-owner'), configMapId('owner'));
    await createOwned(configMap('between', {}), configMapId('root'));
    await createOwned(claim('data-of-root'), configMapId('between'));
    const { outcome, message, changes, heldKeys } = await requestRemoval(testAgent);
    assert.is(outcome, 'held', message);
    assert.equal(changes.map(({ object, message: why }) => `${object.name}: ${why}`).sort(), [
      'owner: the data of volume claim data-of-owner would be lost',
      'root: the data of volume claim data-of-root would be lost',
    ]);
    assert.ok(await admin.get(claimOf('data-of-owner')));
    assert.ok(await admin.get(configMapId('plain')));
    assert.is((await requestRemoval(testAgent, { confirmed: true, confirmedKeys: heldKeys })).outcome, 'removed');
  });

  test('holds a namespace with a volume claim that one of the stack’s objects owns', async () => {
    const testAgent = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'claim-room' } };
    await apply(testAgent, [room, configMap('owner', {}, 'claim-room')]);
    await createOwned(claim('data-0'), configMapId('owner', 'claim-room'));
    const kinds = ['v1/Namespace', 'v1/ConfigMap'];
    const { outcome, message, changes, heldKeys } = await requestRemoval(testAgent, { kinds });
    assert.is(outcome, 'held', message);
    assert.equal(changes.map(({ object }) => object.name).sort(), ['claim-room', 'owner']);
    assert.match(
      changes.find(({ object }) => object.kind === 'Namespace')?.message ?? '',
      'PersistentVolumeClaim data-0',
    );
    assert.ok(await admin.get(claimOf('data-0', 'claim-room')));
    const removed = testAgent.nextEvent(removedStack.stack, 'removed');
    await requestRemoval(testAgent, { kinds, confirmed: true, confirmedKeys: heldKeys });
    await removed;
  });

  test('lets the volume claim of a pod’s ephemeral volume go with it', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('scratch', {})]);
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'scratch' },
      spec: { containers: [{ name: 'web', image: 'web:1' }] },
    };
    await createOwned(pod, configMapId('scratch'));
    await createOwned(claim('scratch-tmp'), { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'scratch' });
    const { outcome, message } = await requestRemoval(testAgent);
    assert.is(outcome, 'removed', message);
  });

  test('holds only what operators may own claims with when claims may not be listed', async () => {
    if (!testCluster.simulated) return;
    const testAgent = await start();
    const custom: KubeObject = { apiVersion: 'claims.example.org/v1', kind: 'Base', metadata: { name: 'custom' } };
    await apply(testAgent, [
      customResourceDefinition('claims.example.org', 'Base', true),
      custom,
      configMap('plain', {}),
    ]);
    const heal = testCluster.simulated.faults.add({ pathIncludes: '/persistentvolumeclaims', status: 403 });
    const { outcome, message, changes } = await requestRemoval(testAgent);
    assert.is(outcome, 'held', message);
    assert.equal(
      changes.map(({ object }) => object.name),
      ['custom'],
    );
    assert.match(message, 'it cannot be seen what would go with it');
    const removed = testAgent.nextEvent(removedStack.stack, 'removed');
    heal();
    await removed;
  });
}

const volumeClaim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' } as const;

function claim(name: string): KubeObject {
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  return { ...volumeClaim, metadata: { name }, spec };
}
