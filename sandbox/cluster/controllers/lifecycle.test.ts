import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startSimulatedCluster } from '../cluster.ts';
import { type JsonObject, type KubeObject, listAt, valueAt } from '../core/object.ts';

const cluster = await startSimulatedCluster({ readyDelayMs: 5 });

async function call(method: string, path: string, body?: JsonObject, contentType = 'application/json') {
  const headers = { 'content-type': contentType, 'user-agent': 'tester/1' };
  const response = await fetch(cluster.url + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return {
    code: response.status,
    body: JSON.parse(text.startsWith('{') ? text : '{}') as KubeObject & { items: KubeObject[]; message: string },
  };
}

/** Waits for an effect of the controllers. */
async function eventually<T>(look: () => T | undefined | false): Promise<T> {
  for (let wait = 0; wait < 200; wait++) {
    const found = look();
    if (found) return found;
    await new Promise((settle) => setTimeout(settle, 10));
  }
  throw new Error('it did not happen within two seconds');
}

const configMap = (name: string, metadata: JsonObject = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...metadata },
});
const maps = '/api/v1/namespaces/default/configmaps';

const lifecycle = suite('lifecycle');
lifecycle.after(() => cluster.stop());

lifecycle('empties a namespace before it disappears', async () => {
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  assert.ok(cluster.get('v1', 'ServiceAccount', 'shop', 'default'));
  assert.ok(cluster.get('v1', 'ConfigMap', 'shop', 'kube-root-ca.crt'));
  cluster.put(configMap('held', { namespace: 'shop', finalizers: ['example.org/hold'] }));
  const { body } = await call('DELETE', '/api/v1/namespaces/shop');
  assert.is(valueAt(body, 'status.phase'), 'Terminating');
  const refused = await call('POST', '/api/v1/namespaces/shop/configmaps', { metadata: { name: 'late' } });
  assert.is(refused.code, 403);
  await eventually(() => !cluster.get('v1', 'ServiceAccount', 'shop', 'default'));
  assert.ok(cluster.get('v1', 'Namespace', undefined, 'shop'));
  cluster.put(configMap('held', { namespace: 'shop', finalizers: null }));
  await eventually(() => !cluster.get('v1', 'Namespace', undefined, 'shop'));
});

lifecycle('serves a custom resource as long as its definition exists', async () => {
  const properties = { spec: { type: 'object', required: ['size'], properties: { size: { type: 'integer' } } } };
  const version = {
    name: 'v1',
    served: true,
    storage: true,
    schema: { openAPIV3Schema: { type: 'object', properties } },
  };
  await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.org' },
    spec: {
      group: 'example.org',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [version, { ...version, name: 'v2', storage: false }],
    },
  });
  const definition = () =>
    cluster.get('apiextensions.k8s.io/v1', 'CustomResourceDefinition', undefined, 'widgets.example.org');
  await eventually(() =>
    listAt(definition(), 'status.conditions').some((candidate) => valueAt(candidate, 'type') === 'Established'),
  );
  const widgets = '/apis/example.org/v1/namespaces/default/widgets';
  assert.is((await call('GET', '/apis/example.org/v1')).code, 200);
  assert.is((await call('POST', widgets, { metadata: { name: 'a' }, spec: { size: 'big' } })).code, 422);
  assert.is((await call('POST', widgets, { metadata: { name: 'a' }, spec: {} })).code, 422);
  assert.is((await call('POST', widgets, { metadata: { name: 'a' }, spec: { size: 1 } })).code, 201);
  const other = await call('GET', `${widgets.replace('/v1/', '/v2/')}/a`);
  assert.is(other.body.apiVersion, 'example.org/v2');
  await call('DELETE', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.org');
  await eventually(() => !definition());
  assert.is((await call('GET', widgets)).code, 404);
  assert.not(cluster.objects().some(({ kind }) => kind === 'Widget'));
});

lifecycle('honours preconditions', async () => {
  const { metadata } = cluster.put(configMap('guarded'));
  assert.is((await call('DELETE', `${maps}/guarded`, { preconditions: { uid: 'other' } })).code, 409);
  assert.is((await call('DELETE', `${maps}/guarded`, { preconditions: { resourceVersion: '1' } })).code, 409);
  const stale = { ...configMap('guarded', { resourceVersion: '1' }), data: { a: '1' } };
  const refused = await call('PUT', `${maps}/guarded`, stale);
  assert.is(refused.code, 409);
  assert.match(refused.body.message, 'the object has been modified');
  assert.is((await call('DELETE', `${maps}/guarded`, { preconditions: { uid: metadata.uid } })).code, 200);
  assert.is((await call('GET', `${maps}/guarded`)).code, 404);
});

lifecycle('collects objects that have lost their owner', async () => {
  const owner = cluster.put(configMap('owner'));
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid }];
  cluster.put(configMap('owned', { ownerReferences }));
  cluster.put(configMap('orphan', { ownerReferences }));
  await call('PATCH', `${maps}/orphan`, { metadata: { ownerReferences: null } }, 'application/merge-patch+json');
  await call('DELETE', `${maps}/owner`);
  await eventually(() => !cluster.get('v1', 'ConfigMap', 'default', 'owned'));
  assert.ok(cluster.get('v1', 'ConfigMap', 'default', 'orphan'));
});

lifecycle('orphans dependents on request, and deletes them first on request', async () => {
  for (const policy of ['Orphan', 'Foreground']) {
    const owner = cluster.put(configMap('boss'));
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'boss', uid: owner.metadata.uid }];
    cluster.put(configMap(policy.toLowerCase(), { ownerReferences }));
    await call('DELETE', `${maps}/boss`, { propagationPolicy: policy });
    await eventually(() => !cluster.get('v1', 'ConfigMap', 'default', 'boss'));
  }
  assert.is(cluster.get('v1', 'ConfigMap', 'default', 'orphan')?.metadata.ownerReferences, undefined);
  assert.not(cluster.get('v1', 'ConfigMap', 'default', 'foreground'));
});

lifecycle('makes workloads ready, except with an image that cannot be pulled', async () => {
  const deployment = (name: string, image: string): JsonObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'web', image }] } },
    },
  });
  cluster.put(deployment('good', 'web:1'));
  cluster.put(deployment('bad', 'web:does-not-exist'));
  const ready = (name: string) =>
    valueAt(cluster.get('apps/v1', 'Deployment', 'default', name), 'status.readyReplicas');
  await eventually(() => ready('good') === 2);
  const podsOf = (name: string) =>
    cluster.objects().filter((candidate) => candidate.kind === 'Pod' && candidate.metadata.labels?.app === name);
  await eventually(() => podsOf('good').filter((pod) => valueAt(pod, 'status.phase') === 'Running').length === 2);
  assert.is(ready('bad'), undefined);
  const waiting = await eventually(() => listAt(podsOf('bad')[0], 'status.containerStatuses')[0]);
  assert.is(valueAt(waiting, 'state.waiting.reason'), 'ImagePullBackOff');
  cluster.put(deployment('good', 'web:2'));
  await eventually(
    () => podsOf('good').length === 2 && podsOf('good').every((pod) => JSON.stringify(pod).includes('web:2')),
  );
  cluster.remove('apps/v1', 'Deployment', 'default', 'good');
  await eventually(() => podsOf('good').length === 0);
});

lifecycle('patches, scales and shows logs for kubectl', async () => {
  const path = '/apis/apps/v1/namespaces/default/deployments/tools';
  const labels = { app: 'tools' };
  const containers = [{ name: 'web', image: 'web:1', env: [{ name: 'A', value: '1' }] }];
  cluster.put({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'tools' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  });
  const image = { spec: { template: { spec: { containers: [{ name: 'web', image: 'web:2' }] } } } };
  const patched = await call('PATCH', path, image, 'application/strategic-merge-patch+json');
  const [container] = listAt(patched.body, 'spec.template.spec.containers');
  assert.is(valueAt(container, 'image'), 'web:2');
  assert.equal(valueAt(container, 'env'), [{ name: 'A', value: '1' }]);
  const scaled = await call('PATCH', `${path}/scale`, { spec: { replicas: 3 } }, 'application/merge-patch+json');
  assert.is(scaled.body.kind, 'Scale');
  assert.is(valueAt(cluster.get('apps/v1', 'Deployment', 'default', 'tools'), 'spec.replicas'), 3);
  const pod = await eventually(() =>
    cluster
      .objects()
      .find(
        (candidate) => candidate.metadata.labels?.app === 'tools' && valueAt(candidate, 'status.phase') === 'Running',
      ),
  );
  const log = await fetch(`${cluster.url}/api/v1/namespaces/default/pods/${pod.metadata.name}/log?tailLines=1`);
  assert.match(await log.text(), /^tools-.* web: line \d+\n$/);
});

lifecycle('publishes a Service with its labels', async () => {
  const metadata = { name: 'web', namespace: 'default', labels: { 'k8s.brokkr.io/stack-id': 's1' } };
  const spec = { selector: { app: 'web' }, ports: [{ port: 80 }], type: 'LoadBalancer' };
  const service = cluster.put({ apiVersion: 'v1', kind: 'Service', metadata, spec });
  assert.match(String(valueAt(service, 'spec.clusterIP')), /^10\.96\./);
  const slice = await eventually(() => cluster.get('discovery.k8s.io/v1', 'EndpointSlice', 'default', 'web-sim'));
  assert.is(slice.metadata.labels?.['k8s.brokkr.io/stack-id'], 's1');
  assert.is(cluster.get('v1', 'Endpoints', 'default', 'web')?.metadata.labels?.['k8s.brokkr.io/stack-id'], 's1');
  cluster.remove('v1', 'Service', 'default', 'web');
  await eventually(
    () =>
      !cluster
        .objects()
        .some((candidate) => candidate.metadata.name === 'web' || candidate.metadata.name === 'web-sim'),
  );
});

lifecycle('lists by selector and in pages', async () => {
  for (const name of ['page-a', 'page-b', 'page-c']) cluster.put(configMap(name, { labels: { list: name } }));
  const some = await call('GET', `${maps}?labelSelector=${encodeURIComponent('list in (page-a,page-c),!other')}`);
  assert.equal(
    some.body.items.map((item) => item.metadata.name),
    ['page-a', 'page-c'],
  );
  const first = await call('GET', `${maps}?labelSelector=list&limit=2`);
  const next = await call(
    'GET',
    `${maps}?labelSelector=list&limit=2&continue=${valueAt(first.body, 'metadata.continue')}`,
  );
  assert.equal(
    next.body.items.map((item) => item.metadata.name),
    ['page-c'],
  );
  const named = await call('GET', `${maps}?fieldSelector=metadata.name=page-b`);
  assert.is(named.body.items.length, 1);
  const emptied = await call('DELETE', `${maps}?labelSelector=list`);
  assert.is(emptied.code, 200);
  assert.not(cluster.get('v1', 'ConfigMap', 'default', 'page-b'));
});

lifecycle.run();
