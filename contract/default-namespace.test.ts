import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inDefaultNamespace } from './default-namespace.ts';

const namespaces = suite('a default namespace');

const object = (apiVersion: string, kind: string, namespace?: string, spec?: object) => ({
  apiVersion,
  kind,
  metadata: { name: 'one', ...(namespace !== undefined && { namespace }) },
  ...(spec && { spec }),
});
const definition = (kind: string, scope: string) =>
  object('apiextensions.k8s.io/v1', 'CustomResourceDefinition', undefined, {
    group: 'example.com',
    names: { kind },
    scope,
  });
const placed = (namespace: string, ...objects: object[]) =>
  inDefaultNamespace(objects, namespace).map((one) => (one as { metadata: { namespace?: string } }).metadata.namespace);

namespaces('is that of the objects that name none', () => {
  assert.equal(
    placed('argocd', object('v1', 'ConfigMap'), object('apps/v1', 'Deployment', 'other'), object('v1', 'Secret', '')),
    ['argocd', 'other', 'argocd'],
  );
});

namespaces('is not given to what is cluster-scoped in Kubernetes, or by a definition beside it', () => {
  const [namespace, role] = [object('v1', 'Namespace'), object('rbac.authorization.k8s.io/v1', 'ClusterRole')];
  assert.equal(placed('argocd', namespace, role), [undefined, undefined]);
  const [wide, narrow] = [object('example.com/v1', 'Wide'), object('example.com/v1', 'Narrow')];
  assert.equal(placed('argocd', wide, narrow, definition('Wide', 'Cluster'), definition('Narrow', 'Namespaced')), [
    undefined,
    'argocd',
    undefined,
    undefined,
  ]);
});

namespaces('changes nothing when it is empty, and nothing in what is no object', () => {
  const objects = [object('v1', 'ConfigMap'), { kind: 'ConfigMap' }, { apiVersion: 'v1', kind: 'X', metadata: null }];
  assert.is(inDefaultNamespace(objects, ''), objects);
  assert.equal(inDefaultNamespace(objects.slice(1), 'argocd'), objects.slice(1));
});

namespaces('is inserted in the order of keys', () => {
  const [one] = inDefaultNamespace([{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a', uid: 'b' } }], 'argocd');
  assert.is(
    JSON.stringify(one),
    '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"argocd","uid":"b"}}',
  );
});

namespaces.run();
