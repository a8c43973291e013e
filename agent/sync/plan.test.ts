import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, stackId } from '../../test/agent/test-agent.ts';
import { checksumAnnotation, idOf, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import { planStack } from './plan.ts';

const stack = stackId('s');
const plans = suite('plan');

const desired = (object: KubeObject, checksum = 'c1') => {
  const { metadata } = object;
  const stamped = {
    ...object,
    metadata: { ...metadata, labels: { [stackLabel]: stack }, annotations: { [checksumAnnotation]: checksum } },
  };
  return { id: idOf(stamped), object: stamped, checksum };
};
const asLive = (object: KubeObject, more: object = {}): KubeObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    uid: `uid-${object.metadata.name}`,
    managedFields: [{ manager: 'brokkr', operation: 'Apply' }],
    ...more,
  },
});
const plan = (
  wanted: ReturnType<typeof desired>[],
  live: KubeObject[],
  inventory: KubeObject[] = live,
  mayPrune = true,
  uidsInUse: ReadonlySet<string> = new Set(),
) =>
  planStack({
    stackId: stack,
    desired: wanted,
    inventory: new Map(
      inventory.map((object) => [keyOf(idOf(object)), { id: idOf(object), uid: object.metadata.uid ?? '' }]),
    ),
    mayPrune,
    live: new Map(live.map((object) => [keyOf(idOf(object)), object])),
    ownerOf: () => undefined,
    isDesiredElsewhere: () => false,
    uidsInUse,
  });

plans('sorts objects by what has to be done', () => {
  const [same, changed, drifted, fresh] = ['same', 'changed', 'drifted', 'fresh'].map((name) =>
    desired(configMap(name, { k: '1' }, 'ns')),
  );
  const live = [
    asLive(same!.object),
    asLive(desired(configMap('changed', { k: '0' }, 'ns'), 'c0').object),
    asLive({ ...drifted!.object, data: { k: 'drift' } }),
  ];
  const result = plan([same!, changed!, drifted!, fresh!], live);
  const names = (list: readonly { id: { name: string } }[]) => list.map(({ id }) => id.name);
  assert.equal(names(result.unchanged), ['same']);
  assert.equal(names(result.configure), ['changed']);
  assert.equal(names(result.check), ['drifted']);
  assert.equal(names(result.create), ['fresh']);
  assert.equal(names(result.items), ['same', 'changed', 'drifted', 'fresh']);
});

plans('gives no right to delete an object before it was applied', () => {
  const foreign = {
    ...asLive(configMap('foreign', {}, 'ns')),
    metadata: { name: 'foreign', namespace: 'ns', uid: 'theirs' },
  };
  const { items } = plan([desired(configMap('foreign', { k: '1' }, 'ns'))], [foreign], []);
  assert.equal(
    items.map(({ uid }) => uid),
    [''],
  );
  assert.equal(plan([], [foreign], [{ ...foreign, metadata: { ...foreign.metadata, uid: '' } }]).prune, []);
});

plans('prunes nothing while the inventory may lack something', () => {
  const old = asLive(desired(configMap('old', {}, 'ns')).object);
  const careful = plan([], [old], [old], false);
  assert.equal(careful.prune, []);
  assert.is(careful.items.length, 1, 'and keeps it in mind');
  assert.is(plan([], [old]).prune.length, 1);
});

plans('never deletes an object that is desired under the name of another group', () => {
  const ingress = (apiVersion: string): KubeObject => ({ ...configMap('web', {}, 'ns'), apiVersion, kind: 'Ingress' });
  const old = asLive(desired(ingress('extensions/v1beta1')).object);
  const wanted = desired(ingress('networking.k8s.io/v1'));
  const renamed = plan([wanted], [old, asLive(wanted.object)], [old]);
  assert.equal(renamed.prune, []);
  assert.equal(
    renamed.drop.map(({ id }) => id.apiVersion),
    ['extensions/v1beta1'],
  );
  const moved = plan([], [old], [old], true, new Set([old.metadata.uid ?? '']));
  assert.equal([moved.prune.length, moved.drop.length], [0, 1], 'nor one that another stack has');
  assert.is(plan([], [old]).prune.length, 1);
});

plans.run();
