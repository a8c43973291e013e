import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { needs } from '../test/needs.ts';
import { agentsOn, applied } from './agents-harness.ts';
import {
  type Core,
  configMap,
  idOfMap,
  type Lab,
  openReal,
  openSimulated,
  stackId,
  until,
  type Wish,
} from './harness.ts';
import { type KubeObject, stackLabel } from './object.ts';

const simulated = suite('holding deletions, simulated cluster');
const real = suite('holding deletions, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const { start } = agentsOn(test, lab);
  const stack = stackId('gone');
  const apply = (core: Core, objects: readonly KubeObject[]) =>
    applied(core, { stackId: stack, order: 1n, deploymentId: 'd', objects });
  const removal: Wish = {
    stackId: stack,
    deploymentId: 'd',
    order: 2n,
    generation: 2n,
    state: 'removing',
    kinds: ['v1/ConfigMap'],
  };
  const tellRemoval = async (core: Core, more: Partial<Wish> = {}) => {
    const told = core.next(stack);
    core.tell([{ ...removal, ...more }]);
    return told;
  };

  test('holds too many deletions until they are confirmed', async () => {
    const core = await start({ maxDeletions: 3 });
    await apply(
      core,
      Array.from({ length: 4 }, (_, index) => configMap(`lot-${index}`, {})),
    );
    const { outcome, changes } = await tellRemoval(core);
    assert.is(outcome, 'held');
    assert.is(changes.filter(({ action }) => action === 'held').length, 4);
    assert.ok(await hand.get(idOfMap('lot-0')));
    assert.is((await tellRemoval(core, { confirmed: true })).outcome, 'removed');
  });

  test('holds a prune as it holds a removal', async () => {
    const core = await start({ maxDeletions: 1 });
    await apply(core, [configMap('pair-a', {}), configMap('pair-b', {}), configMap('pair-c', {})]);
    const next: Wish = { stackId: stack, order: 3n, deploymentId: 'e', objects: [configMap('pair-c', { k: 'new' })] };
    const held = core.next(stack);
    core.tell([next]);
    assert.is((await held).outcome, 'held');
    assert.ok(await hand.get(idOfMap('pair-a')));
    assert.equal((await hand.get(idOfMap('pair-c')))?.data, { k: 'new' }, 'the rest goes on');
    const applied = core.next(stack);
    core.tell([{ ...next, confirmed: true }]);
    assert.is((await applied).outcome, 'applied');
    assert.is(await hand.get(idOfMap('pair-a')), undefined);
  });

  test('holds a volume claim, whose data would be lost', async () => {
    const core = await start();
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
    await apply(core, [{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'precious' }, spec }]);
    const { outcome, changes } = await tellRemoval(core, { kinds: ['v1/PersistentVolumeClaim'] });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'data would be lost');
  });

  test('holds a namespace with other content, and lets one with none go', async () => {
    const core = await start();
    const room = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    await apply(core, [room('shared-room'), room('own-room'), configMap('mine', {}, 'own-room')]);
    await hand.create(configMap('theirs', {}, 'shared-room'));
    const { outcome, message, changes } = await tellRemoval(core, { kinds: ['v1/Namespace', 'v1/ConfigMap'] });
    assert.is(outcome, 'held', message);
    assert.equal(
      changes.map(({ object }) => object.name),
      ['shared-room'],
    );
    const removed = core.next(stack, 'removed');
    await hand.remove(idOfMap('theirs', 'shared-room'));
    await removed;
  });

  test('holds a namespace with something owned that is never to be deleted', async () => {
    const core = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kept-room' } };
    await apply(core, [room, configMap('owner', {}, 'kept-room')]);
    const { metadata } = (await hand.get(idOfMap('owner', 'kept-room')))!;
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
    await hand.create(owned('goes-along', {}));
    await hand.create(owned('kept', { 'k8s.brokkr.io/prune': 'disabled' }));
    const { outcome, message } = await tellRemoval(core, { kinds: ['v1/Namespace', 'v1/ConfigMap'] });
    assert.is(outcome, 'held', message);
    assert.match(message, 'such as Secret kept');
    const removed = core.next(stack, 'removed');
    await hand.remove({ apiVersion: 'v1', kind: 'Secret', namespace: 'kept-room', name: 'kept' });
    await removed;
  });

  test('holds a definition with instances that others have made', async () => {
    const core = await start();
    const thing = (name: string): KubeObject => ({
      apiVersion: 'hold.example.org/v1',
      kind: 'Thing',
      metadata: { name, namespace: 'default' },
    });
    await apply(core, [definitionOf('hold.example.org', 'Thing', true), thing('ours')]);
    await hand.create(thing('theirs'));
    const { outcome, changes } = await tellRemoval(core, {
      kinds: ['apiextensions.k8s.io/v1/CustomResourceDefinition'],
    });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'such as default/theirs');
    assert.ok(await hand.get({ apiVersion: 'hold.example.org/v1', kind: 'Thing', namespace: 'default', name: 'ours' }));
    const removed = core.next(stack, 'removed');
    await hand.remove({ apiVersion: 'hold.example.org/v1', kind: 'Thing', namespace: 'default', name: 'theirs' });
    await removed;
  });

  test('holds a stateful set that takes its volume claims with it', async () => {
    const core = await start();
    const set = (name: string, whenDeleted: 'Delete' | 'Retain', claims: readonly string[]): KubeObject => {
      const labels = { app: name };
      const template = { metadata: { labels }, spec: { containers: [{ name: 'db', image: 'db:1' }] } };
      const volumeClaimTemplates = claims.map((claim) => ({
        metadata: { name: claim },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      }));
      const persistentVolumeClaimRetentionPolicy = { whenDeleted, whenScaled: 'Retain' };
      const selector = { matchLabels: labels };
      const spec = { serviceName: name, replicas: 0, selector, template };
      return {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: { name },
        spec: { ...spec, volumeClaimTemplates, persistentVolumeClaimRetentionPolicy },
      };
    };
    await apply(core, [
      set('takes', 'Delete', ['data']),
      set('keeps', 'Retain', ['data']),
      set('has-none', 'Delete', []),
    ]);
    const kinds = ['apps/v1/StatefulSet'];
    const { outcome, changes } = await tellRemoval(core, { kinds });
    assert.is(outcome, 'held');
    assert.equal(
      changes.map(({ object, message }) => `${object.name}: ${message}`),
      ['takes: its data would be lost'],
    );
    assert.is((await tellRemoval(core, { kinds, confirmed: true })).outcome, 'removed');
  });

  test('holds a definition of which no version is served', async () => {
    const core = await start();
    await apply(core, [definitionOf('unserved.example.org', 'Ghost', false)]);
    const kinds = ['apiextensions.k8s.io/v1/CustomResourceDefinition'];
    const { outcome, changes } = await tellRemoval(core, { kinds });
    assert.is(outcome, 'held');
    assert.match(changes[0]?.message ?? '', 'it cannot be seen what would go with it');
    assert.is((await tellRemoval(core, { kinds, confirmed: true })).outcome, 'removed');
  });

  test('takes no kind for one that passes because of its name alone', async () => {
    const core = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'event-room' } };
    await apply(core, [room]);
    await hand.create(definitionOf('fair.example.org', 'Event', true));
    const fair = { apiVersion: 'fair.example.org/v1', kind: 'Event', name: 'fair', namespace: 'event-room' };
    const { name, namespace, ...kind } = fair;
    await until(
      () =>
        hand.create({ ...kind, metadata: { name, namespace } }).then(
          () => true,
          () => false,
        ),
      'the kind to be served',
    );
    const { outcome, message } = await tellRemoval(core, { kinds: ['v1/Namespace'] });
    assert.is(outcome, 'held', message);
    assert.match(message, 'such as Event fair');
    const removed = core.next(stack, 'removed');
    await hand.remove(fair);
    await removed;
  });

  for (const [what, unseen] of [
    ['group', '/apis/apps/v1'],
    ['kind', '/namespaces/blind-room/secrets'],
  ] as const) {
    test(`holds a namespace while a ${what} that is served there is not found`, async () => {
      if (!lab.simulated) return;
      const core = await start();
      const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'blind-room' } };
      await apply(core, [room]);
      const heal = lab.simulated.faults.add({ pathIncludes: unseen, status: 404 });
      const { outcome, message } = await tellRemoval(core, { kinds: ['v1/Namespace'] });
      assert.is(outcome, 'held', message);
      assert.match(message, 'it cannot be seen what would go with it');
      const removed = core.next(stack, 'removed');
      heal();
      await removed;
    });
  }

  test('holds a definition while its instances are not found', async () => {
    if (!lab.simulated) return;
    const core = await start();
    const definition = definitionOf('paged.example.org', 'Leaf', true);
    await apply(core, [definition]);
    const heal = lab.simulated.faults.add({ pathIncludes: '/apis/paged.example.org/v1/leafs', status: 404 });
    const { outcome, message } = await tellRemoval(core, {
      kinds: ['apiextensions.k8s.io/v1/CustomResourceDefinition'],
    });
    assert.is(outcome, 'held', message);
    assert.match(message, 'it cannot be seen what would go with it');
    const removed = core.next(stack, 'removed');
    heal();
    await removed;
  });

  test('tells what a removal that the broker holds would delete, and deletes nothing', async () => {
    const core = await start();
    await apply(core, [configMap('unconfirmed', { k: '1' }), definitionOf('unconfirmed.example.org', 'Ghost', false)]);
    const kinds = ['v1/ConfigMap', 'apiextensions.k8s.io/v1/CustomResourceDefinition'];
    const { outcome, message, changes } = await tellRemoval(core, { kinds, held: true });
    assert.is(outcome, 'held');
    assert.match(message, /waits for a confirmation: 2 objects would be deleted: .*it cannot be seen/);
    assert.equal(
      changes.map(({ action, object }) => `${action} ${object.name}`),
      ['held ghosts.unconfirmed.example.org', 'held unconfirmed'],
    );
    assert.is(changes[1]?.message, 'would be deleted');
    assert.ok(await hand.get(idOfMap('unconfirmed')));
    const orphaned = await tellRemoval(core, { kinds, held: true, onDelete: 'orphan' });
    assert.is(orphaned.outcome, 'held');
    assert.match(orphaned.message, '2 objects would be left where they are');
    assert.ok((await hand.get(idOfMap('unconfirmed')))?.metadata.labels?.[stackLabel]);
    assert.is((await tellRemoval(core, { kinds, confirmed: true })).outcome, 'removed');
    assert.is(await hand.get(idOfMap('unconfirmed')), undefined);
  });
}

function definitionOf(group: string, kind: string, served: boolean): KubeObject {
  const singular = kind.toLowerCase();
  const plural = `${singular}s`;
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const names = { plural, singular, kind, listKind: `${kind}List` };
  const versions = [{ name: 'v1', served, storage: true, schema }];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: { group, scope: 'Namespaced', names, versions },
  };
}
