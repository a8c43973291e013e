import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../object/kube-object.ts';
import { appliedForm } from './applied-form.ts';

const test = suite('the form in which objects are applied');
const metadata = { name: 'a' };

test('leaves out fields that are null, at any depth, and keeps items of lists', () => {
  const spec = { sessionAffinity: null, ports: [{ port: 80, protocol: null }], list: [null, 1] };
  assert.equal(appliedForm({ apiVersion: 'v1', kind: 'Service', metadata, spec }), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { ports: [{ port: 80 }], list: [null, 1] },
  });
});

test('keeps the nulls of custom kinds, where they may mean something', () => {
  const release = {
    apiVersion: 'helm.toolkit.fluxcd.io/v2',
    kind: 'HelmRelease',
    metadata,
    spec: { values: { a: null } },
  };
  assert.is(appliedForm(release), release);
});

test('returns an object without nulls and texts as it is', () => {
  const map: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { a: '1' } };
  assert.is(appliedForm(map), map);
});

test('encodes the texts of a Secret, which take precedence over its data', () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque' };
  const stringData = { user: 'Zoë', both: 'text', empty: '', none: null };
  assert.equal(appliedForm({ ...secret, data: { both: 'b2xk', kept: 'aw==' }, stringData }), {
    ...secret,
    data: { both: 'dGV4dA==', kept: 'aw==', user: 'Wm/Dqw==', empty: '' },
  });
});

test('leaves it to the API server to refuse texts that are none', () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { port: 5432 } };
  assert.is(appliedForm(secret), secret);
});

test('leaves the rules of an aggregated role to their controller, and those of other roles as they are', () => {
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata };
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] };
  assert.equal(appliedForm({ ...role, aggregationRule, rules: [] }), { ...role, aggregationRule });
  for (const plain of [
    { ...role, rules: [] },
    { ...role, aggregationRule: null, rules: [] },
  ])
    assert.equal(appliedForm(plain).rules, []);
});

test.run();
