import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, configMapId, connect, openSimulatedCluster, stackId, until } from '../../test/agent/test-agent.ts';
import { type KubeObject, keyOf, type ObjectId, stackLabel } from '../object/kube-object.ts';
import { ClusterError, errorFromResponse } from './api-error.ts';
import { readLive } from './read-objects.ts';

const testCluster = await openSimulatedCluster();
const cluster = connect(testCluster.source);
const narrow = await openSimulatedCluster({ rights: { namespaces: ['default', 'team'] } });
const tenant = connect(narrow.source);
const { signal } = new AbortController();

const definition: ObjectId = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  namespace: '',
  name: 'lamps.light.example.org',
};
const lamp: ObjectId = { apiVersion: 'light.example.org/v1', kind: 'Lamp', namespace: 'default', name: 'lamp' };
const lampIn = (version: string): ObjectId => ({ ...lamp, apiVersion: `light.example.org/${version}` });

const access = suite('cluster access');
access.after(async () => {
  cluster.close();
  tenant.close();
  await Promise.all([testCluster.close(), narrow.close()]);
});

access('finds an object in another version once its own is no longer served', async () => {
  await cluster.create(lamps({ v1: true, v2: true }), signal);
  await until(async () => (await cluster.discovery.find(lamp.apiVersion, 'Lamp', signal)) !== undefined, 'the kind');
  await cluster.create(
    { apiVersion: lamp.apiVersion, kind: 'Lamp', metadata: { name: 'lamp', namespace: 'default' } },
    signal,
  );
  assert.ok(await cluster.get(lamp, signal));
  await testCluster.admin.edit(definition, (live) => ({ ...live, spec: lamps({ v1: false, v2: true }).spec }));
  await until(async () => (await testCluster.admin.get(lampIn('v2'))) !== undefined, 'the other version');
  assert.is((await cluster.get(lamp, signal))?.apiVersion, 'light.example.org/v2');
  assert.is((await cluster.list(lamp, { namespace: 'default' }, signal)).length, 1);
  assert.is(await cluster.get({ ...lamp, name: 'another' }, signal), undefined);
});

access('finds every kind that a namespace may contain, whatever version has it', async () => {
  const kinds = (await cluster.discovery.namespacedKinds(signal)).kinds.map(
    ({ kind, apiVersion }) => `${apiVersion} ${kind}`,
  );
  assert.is(new Set(kinds).size, kinds.length);
  assert.is(kinds.filter((kind) => kind.endsWith(' Lamp')).length, 1);
  await cluster.create(lamps({ v1: true, v2: true }, { plural: 'bulbs', kind: 'Bulb' }), signal);
  const kindsOf = async () =>
    (await cluster.discovery.namespacedKinds(signal)).kinds
      .filter(({ apiVersion }) => apiVersion.startsWith('light.example.org/'))
      .map(({ kind }) => kind)
      .sort();
  await until(async () => (await kindsOf()).join() === 'Bulb,Lamp', 'each kind once');
  // One of the two is not the preferred version.
  for (const served of [
    { v1: true, v2: false },
    { v1: false, v2: true },
  ]) {
    const version = served.v1 ? 'v1' : 'v2';
    await testCluster.admin.edit(definition, (live) => ({ ...live, spec: lamps(served).spec }));
    await until(async () => {
      const { kinds: found } = await cluster.discovery.namespacedKinds(signal);
      return found.some(({ apiVersion, kind }) => kind === 'Lamp' && apiVersion === lampIn(version).apiVersion);
    }, `the kind in ${version} only`);
  }
});

access('does not take a proxy’s error page for a missing object', async () => {
  await cluster.create(configMap('there', {}, 'default'), signal);
  const heal = testCluster.simulated!.faults.add({ pathIncludes: '/configmaps/there', status: 404 });
  try {
    await cluster.get(configMapId('there'), signal);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ClusterError);
  }
  heal();
  assert.ok(await cluster.get(configMapId('there'), signal));
});

access('waits for a credential program as long as for a response, and ends with its signal', async () => {
  // The program runs until the test is over, so a client that waits for it never answers.
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-exec-'));
  const script = `setInterval(() => require('fs').existsSync(${JSON.stringify(folder)}) || process.exit(), 100)`;
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: process.execPath, args: ['-e', script] };
  const text = JSON.stringify({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'http://127.0.0.1:9' } }],
    users: [{ name: 'u', user: { exec } }],
  });
  const waiting = connect({ text }, { timeoutMs: 400 });
  try {
    const late = await waiting.get(configMapId('any'), signal).catch((reason: unknown) => reason);
    assert.match(String(late), 'timed out after 0.4 s');
    const stop = new AbortController();
    const stopped = waiting.get(configMapId('any'), stop.signal).catch((reason: unknown) => reason);
    stop.abort(new Error('stopped'));
    assert.match(String(await stopped), 'stopped');
  } finally {
    waiting.close();
    rmSync(folder, { recursive: true });
  }
});

access('reads what a namespaced account has in several namespaces', async () => {
  const stack = stackId('narrow');
  const objects = ['default', 'team'].flatMap((namespace) =>
    Array.from({ length: 10 }, (_, index) => configMap(`map-${index}`, {}, namespace)),
  );
  narrow.simulated!.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  for (const object of objects)
    await tenant.create({ ...object, metadata: { ...object.metadata, labels: { [stackLabel]: stack } } }, signal);
  const ids = objects.map(({ metadata }) => configMapId(metadata.name, metadata.namespace));
  const known = new Set(ids.map(keyOf));
  assert.is((await readLive(tenant, ids, { stackId: stack, known }, signal)).size, ids.length);
});

const words = suite('messages of the API server');
const secret: ObjectId = { apiVersion: 'v1', kind: 'Secret', namespace: 'default', name: 's' };
const reported = (status: number, message: string) =>
  errorFromResponse(status, JSON.stringify({ kind: 'Status', reason: 'Why', message }), secret).message;

words('about a Secret are passed on only when they cannot quote it', () => {
  for (const status of [400, 403, 406, 409, 422, 500])
    assert.not.match(reported(status, 'admission webhook "w" denied the request: hunter2 is weak'), 'hunter2');
  assert.not.match(reported(403, 'secrets "s" is forbidden: ValidatingAdmissionPolicy p denied: hunter2'), 'hunter2');
  const rights =
    'secrets "s" is forbidden: User "u" cannot patch resource "secrets" in API group "" in the namespace "default"';
  assert.is(reported(403, rights), rights);
  const dryRun = 'admission webhook "w" does not support dry run';
  assert.is(reported(400, dryRun), dryRun);
});

access.run();
words.run();

/** The definition of a kind with these versions, each served or not. */
function lamps(
  served: Readonly<Record<'v1' | 'v2', boolean>>,
  { plural, kind } = { plural: 'lamps', kind: 'Lamp' },
): KubeObject {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const versions = Object.entries(served).map(([name, isServed]) => ({
    name,
    served: isServed,
    storage: name === 'v2',
    schema,
  }));
  return {
    apiVersion: definition.apiVersion,
    kind: definition.kind,
    metadata: { name: `${plural}.light.example.org` },
    spec: {
      group: 'light.example.org',
      scope: 'Namespaced',
      names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions,
    },
  };
}
