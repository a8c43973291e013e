import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { webDeployment, withManagers } from '../../test/agent/managed-objects.ts';
import type { KubeObject } from './kube-object.ts';
import { differences, managersOf, pathText } from './managed-fields.ts';
import { fingerprintOf } from './managed-fields-hash.ts';

const paths = (live: KubeObject, other: KubeObject, part = false) => differences(live, other, { part }).map(pathText);

const fields = suite('fields that differ');

fields('names fields, items by their name, and keys with dots', () => {
  const live = webDeployment({ image: 'a', args: ['x'] }, { note: '1', 'example.org/a.b': '1' });
  const other = webDeployment({ image: 'b', args: ['y'] }, { note: '1' });
  assert.equal(paths(live, other), [
    '.spec.template.spec.containers[name=web].image',
    '.spec.template.spec.containers[name=web].args[0]',
    '.metadata.annotations."example.org/a.b"',
  ]);
});

fields('leaves out what only the live object says, when compared with what is applied', () => {
  const live = { ...webDeployment({ image: 'a', imagePullPolicy: 'Always' }), status: { replicas: 3 } };
  assert.equal(paths(live, webDeployment({ image: 'a' }), true), []);
  assert.equal(paths(live, webDeployment({ image: 'b' }), true), ['.spec.template.spec.containers[name=web].image']);
});

fields('names who owns them now, items of lists included, or when they are gone, who alone has written since', () => {
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
  const live = withManagers(webDeployment({ image: 'a' }), entries);
  assert.equal(managersOf(live, differences(live, webDeployment({ image: 'b' }))), ['editor']);
  const removed = [['spec', 'minReadySeconds']];
  const at = (time: string) => entries.map((entry) => (entry.manager === 'scaler' ? { ...entry, time } : entry));
  assert.equal(managersOf(withManagers(live, at('2030-01-05')), removed), ['scaler']);
  assert.equal(managersOf(live, removed), [], 'nobody has written since the apply');
  const both = [...at('2030-01-05'), { manager: 'other', operation: 'Update', time: '2030-01-06', fieldsV1: {} }];
  assert.equal(managersOf(withManagers(live, both), removed), [], 'it may have been either');
});

fields('change the hash only when they were applied', () => {
  const mine = (set: object) => [{ manager: 'brokkr', operation: 'Apply', fieldsV1: set }];
  const before = withManagers(webDeployment({ image: 'a' }), mine({ 'f:spec': { 'f:replicas': {} } }));
  const status = { ...before, status: { replicas: 3 }, metadata: { ...before.metadata, resourceVersion: '9' } };
  assert.is(fingerprintOf(status), fingerprintOf(before));
  assert.is.not(fingerprintOf(withManagers(before, mine({ 'f:spec': {} }))), fingerprintOf(before));
});

fields.run();
