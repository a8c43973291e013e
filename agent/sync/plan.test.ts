import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, stackId } from '../../test/agent/test-agent.ts';
import { createOwnership } from '../inventory/object-owners.ts';
import { isSameObject, matchesDesired } from '../object/compare.ts';
import { checksumAnnotation, idOf, isAppliedFor, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import { admitEntry } from '../target/admission.ts';
import type { Entry } from '../target/target-state.ts';
import { planStack } from './plan.ts';

const stack = stackId('s');
const entry = (more: Partial<Entry>): Entry => ({
  stackId: stack,
  stack: 's',
  generator: 'ci',
  deploymentId: 'd5',
  revision: 5,
  order: 5n,
  state: 'active',
  generation: 1n,
  checksum: '',
  size: 0,
  onDelete: 'prune',
  held: false,
  confirmed: false,
  confirmedKeys: [],
  kinds: [],
  reason: '',
  serviceAccount: '',
  drift: 'repair',
  ignoredFields: [],
  conflict: 'adopt',
  dependsOnIds: [],
  traceParent: '',
  ...more,
});

const order = suite('order and epoch');

order('takes what is new, ignores what is older, within an epoch', () => {
  const seen = { epoch: 1n, order: 5n, deploymentId: 'd5' };
  assert.is(admitEntry(entry({}), 1n, undefined), 'take');
  assert.is(admitEntry(entry({ order: 6n, deploymentId: 'd6' }), 1n, seen), 'take');
  assert.is(admitEntry(entry({}), 1n, seen), 'take');
  assert.is(admitEntry(entry({ order: 4n }), 1n, seen), 'stale');
  assert.is(admitEntry(entry({ order: 4n, state: 'removing' }), 1n, seen), 'stale');
  assert.is(admitEntry(entry({ deploymentId: 'another' }), 1n, seen), 'stale', 'one order means one deployment');
});

order('refuses an epoch that is over', () => {
  assert.is(admitEntry(entry({ order: 9n }), 1n, { epoch: 2n, order: 5n, deploymentId: 'd5' }), 'stale');
});

order('keeps what it has in a new epoch, until it is told something newer or a removal is confirmed', () => {
  const seen = { epoch: 1n, order: 7n, deploymentId: 'd7' };
  assert.is(admitEntry(entry({}), 2n, seen), 'ahead');
  assert.is(admitEntry(entry({ order: 7n }), 2n, seen), 'ahead');
  assert.is(admitEntry(entry({ order: 8n }), 2n, seen), 'take');
  assert.is(admitEntry(entry({ state: 'removing' }), 2n, seen), 'stale');
  assert.is(admitEntry(entry({ state: 'removing', held: true }), 2n, seen), 'take');
  assert.is(admitEntry(entry({ state: 'removing', confirmed: true }), 2n, seen), 'take');
});

order.run();

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

const agreement = suite('agreement of live and desired');

agreement('takes what the server added for no difference, and any other value for one', () => {
  const wanted: KubeObject = {
    apiVersion: 'v1',
    kind: 'X',
    metadata: { name: 'x' },
    spec: { a: 1, list: [{ n: 'one' }] },
  };
  const live = {
    ...wanted,
    metadata: { name: 'x', uid: 'u' },
    spec: { a: 1, b: 2, list: [{ n: 'one', more: true }] },
    status: {},
  };
  assert.ok(matchesDesired(wanted, live));
  assert.not.ok(matchesDesired({ ...wanted, spec: { a: 2 } }, live));
  assert.not.ok(matchesDesired({ ...wanted, spec: { list: [] } }, live));
  assert.ok(isSameObject(live, { ...live, metadata: { ...live.metadata, resourceVersion: '9' } }));
  assert.not.ok(isSameObject(live, { ...live, spec: { a: 1 } }));
});

agreement('knows a copied label from an apply', () => {
  const copy: KubeObject = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'x', labels: { [stackLabel]: stack } },
  };
  assert.not.ok(isAppliedFor(copy, stack));
  assert.ok(
    isAppliedFor(
      { ...copy, metadata: { ...copy.metadata, managedFields: [{ manager: 'brokkr', operation: 'Apply' }] } },
      stack,
    ),
  );
});

agreement.run();

const ownership = suite('ownership');
const stackView =
  (desiredKeys: readonly string[], generator = 'ci') =>
  (stackId: string) => ({
    stackId,
    stack: `${generator}/${stackId}`,
    generator,
    desired: new Set(desiredKeys),
  });

ownership('lets one of two claims through, and gives back what is not kept', () => {
  const owners = createOwnership();
  const first = owners.claim({ stackId: 'a', generator: 'ci' }, ['x'], stackView([]));
  assert.is(first.conflicts.size, 0);
  assert.is(owners.claim({ stackId: 'b', generator: 'ci' }, ['x', 'y'], stackView([])).conflicts.size, 1);
  first.release();
  const second = owners.claim({ stackId: 'b', generator: 'ci' }, ['x', 'y'], stackView([]));
  second.keep();
  assert.is(owners.ownerOf('x'), 'b');
});

ownership('hands over what the owner no longer desires, within one generator only', () => {
  const owners = createOwnership();
  owners.claim({ stackId: 'a', generator: 'ci' }, ['x'], stackView([])).keep();
  assert.is(owners.claim({ stackId: 'b', generator: 'ci' }, ['x'], stackView(['x'])).conflicts.get('x'), 'ci/a');
  assert.is(owners.claim({ stackId: 'b', generator: 'other' }, ['x'], stackView([])).conflicts.get('x'), 'ci/a');
  const taken = owners.claim({ stackId: 'b', generator: 'ci' }, ['x'], stackView([])).keep();
  assert.equal([...taken], ['a']);
});

ownership.run();
