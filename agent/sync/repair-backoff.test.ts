import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DesiredObject } from '../object/desired-object.ts';
import type { KubeObject } from '../object/kube-object.ts';
import { differences, managersOf, pathText } from '../object/managed-fields.ts';
import { fingerprintOf } from '../object/managed-fields-hash.ts';
import { withoutIgnored } from './ignored-fields.ts';
import { createRepairBackoff } from './repair-backoff.ts';

const paths = (live: KubeObject, other: KubeObject, part = false) => differences(live, other, { part }).map(pathText);

const fields = suite('fields that differ');

fields('names fields, items by their name, and keys with dots', () => {
  const live = web({ image: 'a', args: ['x'] }, { note: '1', 'example.org/a.b': '1' });
  const other = web({ image: 'b', args: ['y'] }, { note: '1' });
  assert.equal(paths(live, other), [
    '.spec.template.spec.containers[name=web].image',
    '.spec.template.spec.containers[name=web].args[0]',
    '.metadata.annotations."example.org/a.b"',
  ]);
});

fields('leaves out what only the live object says, when compared with what is applied', () => {
  const live = { ...web({ image: 'a', imagePullPolicy: 'Always' }), status: { replicas: 3 } };
  assert.equal(paths(live, web({ image: 'a' }), true), []);
  assert.equal(paths(live, web({ image: 'b' }), true), ['.spec.template.spec.containers[name=web].image']);
});

fields('tells who owns them now, items of lists included; and who wrote last, when they are gone', () => {
  const item = { 'k:{"name":"web"}': { 'f:image': {} } };
  const entries = [
    { manager: 'brokkr', operation: 'Apply', time: '2030-01-03', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
    {
      manager: 'editor',
      operation: 'Update',
      time: '2030-01-01',
      fieldsV1: { 'f:spec': { 'f:template': { 'f:spec': { 'f:containers': item } } } },
    },
    { manager: 'scaler', operation: 'Update', time: '2030-01-02', fieldsV1: { 'f:spec': { 'f:paused': {} } } },
    { manager: 'controller', operation: 'Update', subresource: 'status', time: '2030-01-04', fieldsV1: {} },
  ];
  const live = owned(web({ image: 'a' }), entries);
  assert.equal(managersOf(live, differences(live, web({ image: 'b' }))), ['editor']);
  assert.equal(managersOf(live, [['spec', 'minReadySeconds']]), ['scaler']);
});

fields('sees the fingerprint change with what was applied, and with nothing else', () => {
  const mine = (set: object) => [{ manager: 'brokkr', operation: 'Apply', fieldsV1: set }];
  const before = owned(web({ image: 'a' }), mine({ 'f:spec': { 'f:replicas': {} } }));
  const status = { ...before, status: { replicas: 3 }, metadata: { ...before.metadata, resourceVersion: '9' } };
  assert.is(fingerprintOf(status), fingerprintOf(before));
  assert.is.not(fingerprintOf(owned(before, mine({ 'f:spec': {} }))), fingerprintOf(before));
});

const ignoring = suite('ignored fields');

const replicas = [{ kind: 'apps/Deployment', name: '', paths: ['.spec.replicas'] }];
const mine = (set: object) => [{ manager: 'brokkr', operation: 'Apply', fieldsV1: set }];
const wanted = (object: KubeObject): DesiredObject => ({
  id: { apiVersion: object.apiVersion, kind: object.kind, namespace: 'default', name: 'web' },
  object,
  checksum: 'c',
});
const specOf = ({ object }: DesiredObject) => object.spec as Record<string, unknown>;

ignoring('keeps what nobody else has set: left out, it would be removed', () => {
  const one = wanted(web({ image: 'a' }));
  assert.is(withoutIgnored(one, undefined, replicas, true), one);
  const live = owned(web({ image: 'a' }), mine({ 'f:spec': { 'f:replicas': {} } }));
  assert.is(withoutIgnored(one, live, replicas, true), one);
});

ignoring('leaves out what somebody else has set, and only that', () => {
  const live = owned(web({ image: 'a' }), mine({ 'f:spec': { 'f:template': {} } }));
  const left = withoutIgnored(wanted(web({ image: 'a' })), live, replicas, true);
  assert.equal(Object.keys(specOf(left)), ['template']);
});

ignoring('goes into what is below a path, items of lists by their keys', () => {
  const rule = [{ kind: '', name: 'web', paths: ['.spec.template'] }];
  const set = {
    'f:spec': {
      'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"web"}': { '.': {}, 'f:name': {}, 'f:args': {} } } } },
    },
  };
  const live = owned(web({ image: 'theirs', args: ['x'] }), mine(set));
  const left = withoutIgnored(wanted(web({ image: 'a', args: ['x'] })), live, rule, true);
  assert.equal(specOf(left).template, { spec: { containers: [{ name: 'web', args: ['x'] }] } });
});

ignoring('concerns only the kinds and names of its rules', () => {
  const live = owned(web({ image: 'a' }), mine({}));
  const one = wanted(web({ image: 'a' }));
  for (const rule of [
    { kind: 'apps/StatefulSet', name: '' },
    { kind: '', name: 'other' },
    { kind: 'Deployment', name: '' },
  ])
    assert.is(withoutIgnored(one, live, [{ ...rule, paths: ['.spec.replicas'] }], true), one);
});

ignoring('sets a field that a deployment is the first to have, but none that somebody removed', () => {
  const { replicas: _, ...spec } = web({ image: 'a' }).spec as Record<string, unknown>;
  const live = owned({ ...web({ image: 'a' }), spec }, mine({ 'f:spec': { 'f:template': {} } }));
  const one = wanted(web({ image: 'a' }));
  assert.is(withoutIgnored(one, live, replicas, false), one);
  assert.equal(Object.keys(specOf(withoutIgnored(one, live, replicas, true))), ['template']);
});

const fighting = suite('repairBackoff');

fighting('lets an object be put right four times a minute, then waits longer each time', () => {
  const repairBackoff = createRepairBackoff();
  const reported = Array.from({ length: 5 }, (_, index) => repairBackoff.repaired('a', index * 1_000));
  assert.equal(reported, [undefined, undefined, undefined, undefined, 10_000]);
  assert.is(repairBackoff.waitMs('a', 4_000), 10_000);
  assert.is(repairBackoff.waitMs('b', 4_000), 0);
  assert.is(repairBackoff.waitMs('a', 14_000), 0);
  assert.is(repairBackoff.repaired('a', 15_000), 20_000);
  assert.is(repairBackoff.repaired('a', 36_000), 40_000);
});

fighting('is over when nobody changes the object any more', () => {
  const repairBackoff = createRepairBackoff();
  for (let time = 0; time < 5; time++) repairBackoff.repaired('a', time);
  assert.is(repairBackoff.repaired('a', 200_000), undefined);
  for (let time = 0; time < 10; time++)
    assert.is(repairBackoff.repaired('slow', time * 20_000), undefined, 'now and then is no fight');
});

fields.run();
ignoring.run();
fighting.run();

function web(container: object, annotations?: Record<string, string>): KubeObject {
  const template = { spec: { containers: [{ name: 'web', ...container }] } };
  const metadata = { name: 'web', ...(annotations && { annotations }) };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { replicas: 2, template } };
}

function owned(object: KubeObject, managedFields: KubeObject['metadata']['managedFields'] & object): KubeObject {
  return { ...object, metadata: { ...object.metadata, managedFields } };
}
