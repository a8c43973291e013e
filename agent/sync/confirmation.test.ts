import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { customResourceDefinition, removedStack, statefulSet, statefulSetId } from '../../test/agent/held-deletions.ts';
import { configMap, configMapId, type TargetStack } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, stackLabel } from '../object/kube-object.ts';
import type { StackEvent } from '../target/stack-event.ts';

const simulated = suite('confirming deletions, simulated cluster');
const real = suite('confirming deletions, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { admin, start }: ClusterContext): void {
  const { stack, removal, apply, requestRemoval } = removedStack;

  test('holds too many deletions until they are confirmed', async () => {
    const testAgent = await start({ maxDeletions: 3 });
    await apply(
      testAgent,
      Array.from({ length: 4 }, (_, index) => configMap(`lot-${index}`, {})),
    );
    const { outcome, changes, heldKeys } = await requestRemoval(testAgent);
    assert.is(outcome, 'held');
    assert.is(changes.filter(({ action }) => action === 'held').length, 4);
    assert.equal(heldKeys, ['many']);
    assert.ok(await admin.get(configMapId('lot-0')));
    assert.is((await requestRemoval(testAgent, { confirmed: true, confirmedKeys: heldKeys })).outcome, 'removed');
  });

  test('holds a prune as it holds a removal', async () => {
    const testAgent = await start({ maxDeletions: 1 });
    await apply(testAgent, [configMap('pair-a', {}), configMap('pair-b', {}), configMap('pair-c', {})]);
    const next: TargetStack = {
      stackId: stack,
      order: 3n,
      deploymentId: 'e',
      objects: [configMap('pair-c', { k: 'new' })],
    };
    const held = testAgent.nextEvent(stack);
    testAgent.setTarget([next]);
    const { outcome, heldKeys } = await held;
    assert.is(outcome, 'held');
    assert.ok(await admin.get(configMapId('pair-a')));
    assert.equal((await admin.get(configMapId('pair-c')))?.data, { k: 'new' }, 'the rest goes on');
    const applied = testAgent.nextEvent(stack);
    testAgent.setTarget([{ ...next, confirmed: true, confirmedKeys: heldKeys }]);
    assert.is((await applied).outcome, 'applied');
    assert.is(await admin.get(configMapId('pair-a')), undefined);
  });

  test('goes on only with what was confirmed, and holds everything when there is more by now', async () => {
    const testAgent = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'filling-room' } };
    await apply(testAgent, [statefulSet('shown', 'Delete', ['data']), room]);
    const kinds = ['apps/v1/StatefulSet', 'v1/Namespace'];
    const named = ({ changes }: StackEvent) => changes.map(({ object }) => object.name).sort();
    const first = await requestRemoval(testAgent, { kinds });
    assert.equal([first.outcome, named(first), first.heldKeys.length], ['held', ['shown'], 1]);
    await admin.create(configMap('newcomer', {}, 'filling-room'));
    const second = testAgent.nextEvent(stack, 'held');
    testAgent.setTarget([{ ...removal, kinds, confirmed: true, confirmedKeys: first.heldKeys }]);
    const { heldKeys } = await second;
    assert.equal([named(await second), heldKeys.length], [['filling-room', 'shown'], 2]);
    assert.ok(first.heldKeys.every((key) => heldKeys.includes(key)));
    assert.ok(await admin.get(statefulSetId('shown')));
    const removed = testAgent.nextEvent(stack, 'removed');
    testAgent.setTarget([{ ...removal, kinds, confirmed: true, confirmedKeys: heldKeys }]);
    await admin.remove(configMapId('newcomer', 'filling-room'));
    await removed;
  });

  test('tells what a removal that the broker holds would delete, and deletes nothing', async () => {
    const testAgent = await start();
    await apply(testAgent, [
      configMap('unconfirmed', { k: '1' }),
      customResourceDefinition('unconfirmed.example.org', 'Ghost', false),
    ]);
    const kinds = ['v1/ConfigMap', 'apiextensions.k8s.io/v1/CustomResourceDefinition'];
    const { outcome, message, changes, heldKeys } = await requestRemoval(testAgent, { kinds, held: true });
    assert.is(outcome, 'held');
    assert.match(message, /waits for a confirmation: 2 objects would be deleted: .*it cannot be seen/);
    assert.equal(
      changes.map(({ action, object }) => `${action} ${object.name}`),
      ['held ghosts.unconfirmed.example.org', 'held unconfirmed'],
    );
    assert.is(changes[1]?.message, 'would be deleted');
    assert.ok(await admin.get(configMapId('unconfirmed')));
    const orphaned = await requestRemoval(testAgent, { kinds, held: true, onDelete: 'orphan' });
    assert.is(orphaned.outcome, 'held');
    assert.match(orphaned.message, '2 objects would be left where they are');
    assert.ok((await admin.get(configMapId('unconfirmed')))?.metadata.labels?.[stackLabel]);
    assert.is(
      (await requestRemoval(testAgent, { kinds, confirmed: true, confirmedKeys: heldKeys })).outcome,
      'removed',
    );
    assert.is(await admin.get(configMapId('unconfirmed')), undefined);
  });
}
