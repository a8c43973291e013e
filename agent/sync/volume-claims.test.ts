import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { definitionOf, goneStack, setOf } from '../../test/agent/held-deletions.ts';
import { configMap, idOfMap, type Lab, openReal, openSimulated } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import type { KubeObject, ObjectId } from '../object/kube-object.ts';

const simulated = suite('holding what has volume claims, simulated cluster');
const real = suite('holding what has volume claims, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const { start } = agentsOn(test, lab);
  const { apply, tellRemoval } = goneStack;
  const claimOf = (name: string, namespace = 'default') => ({ ...volumeClaim, namespace, name });
  /** As an operator would: owned by one of these. */
  const createOwned = async (object: KubeObject, { apiVersion, kind, namespace, name }: ObjectId) => {
    const { metadata } = (await hand.get({ apiVersion, kind, namespace, name }))!;
    const ownerReferences = [{ apiVersion, kind, name, uid: metadata.uid ?? '' }];
    await hand.create({ ...object, metadata: { namespace, ...object.metadata, ownerReferences } });
  };

  test('holds a volume claim, whose data would be lost', async () => {
    const core = await start();
    await apply(core, [claim('precious')]);
    const { outcome, changes } = await tellRemoval(core, { kinds: ['v1/PersistentVolumeClaim'] });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'data would be lost');
  });

  test('holds a stateful set that takes its volume claims with it', async () => {
    const core = await start();
    await apply(core, [
      setOf('takes', 'Delete', ['data']),
      setOf('keeps', 'Retain', ['data']),
      setOf('has-none', 'Delete', []),
    ]);
    const kinds = ['apps/v1/StatefulSet'];
    const { outcome, changes, heldKeys } = await tellRemoval(core, { kinds });
    assert.is(outcome, 'held');
    assert.equal(
      changes.map(({ object, message }) => `${object.name}: ${message}`),
      ['takes: its data would be lost'],
    );
    assert.is((await tellRemoval(core, { kinds, confirmed: true, confirmedKeys: heldKeys })).outcome, 'removed');
  });

  test('holds what owns a volume claim, itself or through others', async () => {
    const core = await start();
    await apply(core, [configMap('owner', {}), configMap('root', {}), configMap('plain', {})]);
    await createOwned(claim('data-of-owner'), idOfMap('owner'));
    await createOwned(configMap('between', {}), idOfMap('root'));
    await createOwned(claim('data-of-root'), idOfMap('between'));
    const { outcome, message, changes, heldKeys } = await tellRemoval(core);
    assert.is(outcome, 'held', message);
    assert.equal(changes.map(({ object, message: why }) => `${object.name}: ${why}`).sort(), [
      'owner: the data of volume claim data-of-owner would be lost',
      'root: the data of volume claim data-of-root would be lost',
    ]);
    assert.ok(await hand.get(claimOf('data-of-owner')));
    assert.ok(await hand.get(idOfMap('plain')));
    assert.is((await tellRemoval(core, { confirmed: true, confirmedKeys: heldKeys })).outcome, 'removed');
  });

  test('holds a namespace with a volume claim that one of the stack’s objects owns', async () => {
    const core = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'claim-room' } };
    await apply(core, [room, configMap('owner', {}, 'claim-room')]);
    await createOwned(claim('data-0'), idOfMap('owner', 'claim-room'));
    const kinds = ['v1/Namespace', 'v1/ConfigMap'];
    const { outcome, message, changes, heldKeys } = await tellRemoval(core, { kinds });
    assert.is(outcome, 'held', message);
    assert.equal(changes.map(({ object }) => object.name).sort(), ['claim-room', 'owner']);
    assert.match(
      changes.find(({ object }) => object.kind === 'Namespace')?.message ?? '',
      'PersistentVolumeClaim data-0',
    );
    assert.ok(await hand.get(claimOf('data-0', 'claim-room')));
    const removed = core.next(goneStack.stack, 'removed');
    await tellRemoval(core, { kinds, confirmed: true, confirmedKeys: heldKeys });
    await removed;
  });

  test('lets the volume claim of a pod’s ephemeral volume go with it', async () => {
    const core = await start();
    await apply(core, [configMap('scratch', {})]);
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'scratch' },
      spec: { containers: [{ name: 'web', image: 'web:1' }] },
    };
    await createOwned(pod, idOfMap('scratch'));
    await createOwned(claim('scratch-tmp'), { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'scratch' });
    const { outcome, message } = await tellRemoval(core);
    assert.is(outcome, 'removed', message);
  });

  test('holds only what operators may own claims with when claims may not be listed', async () => {
    if (!lab.simulated) return;
    const core = await start();
    const custom: KubeObject = { apiVersion: 'claims.example.org/v1', kind: 'Base', metadata: { name: 'custom' } };
    await apply(core, [definitionOf('claims.example.org', 'Base', true), custom, configMap('plain', {})]);
    const heal = lab.simulated.faults.add({ pathIncludes: '/persistentvolumeclaims', status: 403 });
    const { outcome, message, changes } = await tellRemoval(core);
    assert.is(outcome, 'held', message);
    assert.equal(
      changes.map(({ object }) => object.name),
      ['custom'],
    );
    assert.match(message, 'it cannot be seen what would go with it');
    const removed = core.next(goneStack.stack, 'removed');
    heal();
    await removed;
  });
}

const volumeClaim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' } as const;

function claim(name: string): KubeObject {
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  return { ...volumeClaim, metadata: { name }, spec };
}
