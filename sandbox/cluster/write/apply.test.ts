import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startSimulatedCluster } from '../cluster.ts';
import type { JsonObject, KubeObject } from '../core/object.ts';

const cluster = await startSimulatedCluster({ readyDelayMs: 5 });
const maps = '/api/v1/namespaces/default/configmaps';
const deployments = '/apis/apps/v1/namespaces/default/deployments';

type Answered = { code: number; body: KubeObject & { message?: string; reason?: string; details?: JsonObject } };

async function call(
  method: string,
  path: string,
  body?: JsonObject,
  contentType = 'application/json',
): Promise<Answered> {
  const response = await fetch(cluster.url + path, {
    method,
    headers: { 'content-type': contentType, 'user-agent': 'tester/1' },
    body: body && JSON.stringify(body),
  });
  return { code: response.status, body: (await response.json()) as Answered['body'] };
}

function apply(path: string, body: JsonObject, query = 'fieldManager=brokkr'): Promise<Answered> {
  return call('PATCH', `${path}?${query}`, body, 'application/apply-patch+yaml');
}

function configMap(name: string, data: JsonObject, more: JsonObject = {}): JsonObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...more }, data };
}

function deployment(name: string, containers: JsonObject[], more: JsonObject = {}): JsonObject {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers } };
  const spec = { selector: { matchLabels: labels }, template, ...more };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec };
}

const applying = suite('server-side apply');
applying.after(() => cluster.stop());

applying('creates, and notes what is owned', async () => {
  const { code, body } = await apply(`${maps}/one`, configMap('one', { a: '1' }, { labels: { x: 'y' } }));
  assert.is(code, 201);
  assert.ok(body.metadata.uid);
  const [entry] = body.metadata.managedFields ?? [];
  assert.is(entry?.manager, 'brokkr');
  assert.is(entry?.operation, 'Apply');
  assert.equal(entry?.fieldsV1, { 'f:data': { 'f:a': {} }, 'f:metadata': { 'f:labels': { 'f:x': {} } } });
});

applying('writes nothing when nothing changes', async () => {
  const desired = deployment('same', [{ name: 'web', image: 'web:1', ports: [{ containerPort: 80 }] }]);
  await apply(`${deployments}/same`, desired);
  await new Promise((settle) => setTimeout(settle, 60));
  const before = await call('GET', `${deployments}/same`);
  const { code, body } = await apply(`${deployments}/same`, desired);
  assert.is(code, 200);
  assert.is(body.metadata.resourceVersion, before.body.metadata.resourceVersion);
  assert.is(body.metadata.generation, 1);
});

applying('removes what is applied no more, unless another manager owns it', async () => {
  await apply(`${maps}/shrinks`, configMap('shrinks', { a: '1', b: '2', c: '3' }));
  await apply(`${maps}/shrinks`, configMap('shrinks', { b: '2' }), 'fieldManager=second');
  cluster.put(configMap('shrinks', { d: '4' }, { namespace: 'default' }));
  const { body } = await apply(`${maps}/shrinks`, configMap('shrinks', { a: '1' }));
  assert.equal(body.data, { a: '1', b: '2', d: '4' });
});

applying('removes containers and lists by their keys', async () => {
  const web = {
    name: 'web',
    image: 'web:1',
    env: [
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ],
  };
  await apply(`${deployments}/keys`, deployment('keys', [web, { name: 'side', image: 'side:1' }]));
  const { body } = await apply(
    `${deployments}/keys`,
    deployment('keys', [{ ...web, env: [{ name: 'B', value: '2' }] }]),
  );
  const [container, ...others] = (body.spec as { template: { spec: { containers: JsonObject[] } } }).template.spec
    .containers;
  assert.is(others.length, 0);
  assert.equal(container?.env, [{ name: 'B', value: '2' }]);
  assert.is(container?.imagePullPolicy, 'IfNotPresent');
});

applying('refuses to take a field that another manager changed', async () => {
  await apply(`${maps}/contested`, configMap('contested', { x: '1' }));
  cluster.put(configMap('contested', { x: '2' }, { namespace: 'default' }), { manager: 'kubectl' });
  const { code, body } = await apply(`${maps}/contested`, configMap('contested', { x: '1' }));
  assert.is(code, 409);
  assert.is(body.reason, 'Conflict');
  assert.match(String(body.message), /^Apply failed with 1 conflict: conflict with "kubectl" using v1: \.data\.x$/);
  const [cause] = (body.details?.causes ?? []) as JsonObject[];
  assert.is(cause?.reason, 'FieldManagerConflict');
  assert.is(cause?.field, '.data.x');
});

applying('agrees with another manager about the same value', async () => {
  await apply(`${maps}/shared`, configMap('shared', { x: '1' }));
  const { code, body } = await apply(`${maps}/shared`, configMap('shared', { x: '1' }), 'fieldManager=second');
  assert.is(code, 200);
  assert.is(body.metadata.managedFields?.length, 2);
});

applying('takes fields by force', async () => {
  await apply(`${maps}/forced`, configMap('forced', { x: '1' }), 'fieldManager=first');
  const { code, body } = await apply(
    `${maps}/forced`,
    configMap('forced', { x: '2' }),
    'fieldManager=brokkr&force=true',
  );
  assert.is(code, 200);
  assert.equal(body.data, { x: '2' });
  assert.equal(
    body.metadata.managedFields?.map(({ manager }) => manager),
    ['brokkr'],
  );
});

applying('keeps an object whose labels are all applied no more', async () => {
  await apply(`${maps}/bare`, configMap('bare', { x: '1' }, { labels: { a: 'b' }, annotations: { c: 'd' } }));
  const { code, body } = await apply(`${maps}/bare`, configMap('bare', { x: '1' }));
  assert.is(code, 200);
  assert.is(body.metadata.labels, undefined);
  assert.is(body.metadata.name, 'bare');
});

applying('stores nothing in a dry run', async () => {
  const { code } = await apply(`${maps}/dry`, configMap('dry', { a: '1' }), 'fieldManager=brokkr&dryRun=All');
  assert.is(code, 201);
  assert.is((await call('GET', `${maps}/dry`)).code, 404);
  await apply(`${maps}/dry`, configMap('dry', { a: '1' }));
  const changed = await apply(`${maps}/dry`, configMap('dry', { a: '2' }), 'fieldManager=brokkr&dryRun=All');
  assert.equal(changed.body.data, { a: '2' });
  assert.is((await call('DELETE', `${maps}/dry?dryRun=All`)).code, 200);
  assert.equal((await call('GET', `${maps}/dry`)).body.data, { a: '1' });
});

applying('refuses what the real server refuses', async () => {
  const missing = await apply('/api/v1/namespaces/none/configmaps/a', configMap('a', {}));
  assert.is(missing.code, 404);
  assert.is(missing.body.message, 'namespaces "none" not found');
  const unknown = await fetch(`${cluster.url}/apis/example.org/v1/widgets/a`);
  assert.is(unknown.status, 404);
  assert.is(await unknown.text(), '404 page not found\n');
  assert.is((await apply(`${maps}/Bad_Name`, configMap('Bad_Name', {}))).code, 422);
  assert.is((await apply(`${maps}/number`, configMap('number', { a: 1 }))).code, 500);
  assert.is((await apply(`${maps}/a`, { ...configMap('a', {}), kind: 'Secret' })).code, 400);
  const unselected = await apply(
    `${deployments}/a`,
    deployment('a', [{ name: 'a', image: 'a' }], { selector: { matchLabels: { b: 'c' } } }),
  );
  assert.is(unselected.code, 422);
  assert.match(String(unselected.body.message), '`selector` does not match template `labels`');
  const other = await apply(`${maps}/a`, configMap('a', {}, { uid: 'somebody-else' }));
  assert.is(other.code, 409);
});

applying('refuses to change what is immutable', async () => {
  await apply(`${maps}/fixed`, { ...configMap('fixed', { a: '1' }), immutable: true });
  const { code, body } = await apply(`${maps}/fixed`, { ...configMap('fixed', { a: '2' }), immutable: true });
  assert.is(code, 422);
  assert.is(body.reason, 'Invalid');
  await apply(`${deployments}/fixed`, deployment('fixed', [{ name: 'a', image: 'a' }]));
  const labels = { app: 'fixed', more: 'x' };
  const changed = deployment('fixed', [{ name: 'a', image: 'a' }], {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } },
  });
  assert.is((await apply(`${deployments}/fixed`, changed)).code, 422);
});

applying.run();
