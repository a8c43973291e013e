import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { customResourceDefinition, removedStack } from '../../test/agent/held-deletions.ts';
import { configMap, configMapId, until } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import type { KubeObject } from '../object/kube-object.ts';

const simulated = suite('holding deletions, simulated cluster');
const real = suite('holding deletions, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, start }: ClusterContext): void {
  const { stack, apply, requestRemoval } = removedStack;

  test('holds a namespace with other content, and lets one with none go', async () => {
    const testAgent = await start();
    const room = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    await apply(testAgent, [room('shared-room'), room('own-room'), configMap('mine', {}, 'own-room')]);
    await admin.create(configMap('theirs', {}, 'shared-room'));
    const { outcome, message, changes } = await requestRemoval(testAgent, { kinds: ['v1/Namespace', 'v1/ConfigMap'] });
    assert.is(outcome, 'held', message);
    assert.equal(
      changes.map(({ object }) => object.name),
      ['shared-room'],
    );
    const removed = testAgent.nextEvent(stack, 'removed');
    await admin.remove(configMapId('theirs', 'shared-room'));
    await removed;
  });

  test('holds a namespace with something owned that is never to be deleted', async () => {
    const testAgent = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kept-room' } };
    await apply(testAgent, [room, configMap('owner', {}, 'kept-room')]);
    const { metadata } = (await admin.get(configMapId('owner', 'kept-room')))!;
    const owned = (name: string, annotations: Record<string, string>): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        namespace: 'kept-room',
        annotations,
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: metadata.uid ?? '' }],
      },
    });
    await admin.create(owned('goes-along', {}));
    await admin.create(owned('kept', { 'k8s.brokkr.io/prune': 'disabled' }));
    const { outcome, message } = await requestRemoval(testAgent, { kinds: ['v1/Namespace', 'v1/ConfigMap'] });
    assert.is(outcome, 'held', message);
    assert.match(message, 'such as Secret kept');
    const removed = testAgent.nextEvent(stack, 'removed');
    await admin.remove({ apiVersion: 'v1', kind: 'Secret', namespace: 'kept-room', name: 'kept' });
    await removed;
  });

  test('holds a definition with instances that others have made', async () => {
    const testAgent = await start();
    const thing = (name: string): KubeObject => ({
      apiVersion: 'hold.example.org/v1',
      kind: 'Thing',
      metadata: { name, namespace: 'default' },
    });
    await apply(testAgent, [customResourceDefinition('hold.example.org', 'Thing', true), thing('ours')]);
    await admin.create(thing('theirs'));
    const { outcome, changes } = await requestRemoval(testAgent, {
      kinds: ['apiextensions.k8s.io/v1/CustomResourceDefinition'],
    });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'such as default/theirs');
    assert.ok(
      await admin.get({ apiVersion: 'hold.example.org/v1', kind: 'Thing', namespace: 'default', name: 'ours' }),
    );
    const removed = testAgent.nextEvent(stack, 'removed');
    await admin.remove({ apiVersion: 'hold.example.org/v1', kind: 'Thing', namespace: 'default', name: 'theirs' });
    await removed;
  });

  test('holds a definition of which no version is served', async () => {
    const testAgent = await start();
    await apply(testAgent, [customResourceDefinition('unserved.example.org', 'Ghost', false)]);
    const kinds = ['apiextensions.k8s.io/v1/CustomResourceDefinition'];
    const { outcome, changes, heldKeys } = await requestRemoval(testAgent, { kinds });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'it cannot be seen what would go with it');
    assert.is(
      (await requestRemoval(testAgent, { kinds, confirmed: true, confirmedKeys: heldKeys })).outcome,
      'removed',
    );
  });

  test('takes no kind for one that passes because of its name alone', async () => {
    const testAgent = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'event-room' } };
    await apply(testAgent, [room]);
    await admin.create(customResourceDefinition('fair.example.org', 'Event', true));
    const fair = { apiVersion: 'fair.example.org/v1', kind: 'Event', name: 'fair', namespace: 'event-room' };
    const { name, namespace, ...kind } = fair;
    await until(
      () =>
        admin.create({ ...kind, metadata: { name, namespace } }).then(
          () => true,
          () => false,
        ),
      'the kind to be served',
    );
    const { outcome, message } = await requestRemoval(testAgent, { kinds: ['v1/Namespace'] });
    assert.is(outcome, 'held', message);
    assert.match(message, 'such as Event fair');
    const removed = testAgent.nextEvent(stack, 'removed');
    await admin.remove(fair);
    await removed;
  });

  for (const [what, unseen] of [
    ['group', '/apis/apps/v1'],
    ['kind', '/namespaces/blind-room/secrets'],
  ] as const) {
    test(`holds a namespace while a ${what} that is served there is not found`, async () => {
      if (!testCluster.simulated) return;
      const testAgent = await start();
      const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'blind-room' } };
      await apply(testAgent, [room]);
      const heal = testCluster.simulated.faults.add({ pathIncludes: unseen, status: 404 });
      const { outcome, message } = await requestRemoval(testAgent, { kinds: ['v1/Namespace'] });
      assert.is(outcome, 'held', message);
      assert.match(message, 'it cannot be seen what would go with it');
      const removed = testAgent.nextEvent(stack, 'removed');
      heal();
      await removed;
    });
  }

  test('holds a definition while its instances are not found', async () => {
    if (!testCluster.simulated) return;
    const testAgent = await start();
    const definition = customResourceDefinition('paged.example.org', 'Leaf', true);
    await apply(testAgent, [definition]);
    const heal = testCluster.simulated.faults.add({ pathIncludes: '/apis/paged.example.org/v1/leafs', status: 404 });
    const { outcome, message } = await requestRemoval(testAgent, {
      kinds: ['apiextensions.k8s.io/v1/CustomResourceDefinition'],
    });
    assert.is(outcome, 'held', message);
    assert.match(message, 'it cannot be seen what would go with it');
    const removed = testAgent.nextEvent(stack, 'removed');
    heal();
    await removed;
  });
}
