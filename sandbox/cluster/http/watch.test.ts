import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig, KubernetesObjectApi, PatchStrategy } from '@kubernetes/client-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type SimulatedCluster, startSimulatedCluster } from '../cluster.ts';
import type { JsonObject, KubeObject } from '../core/object.ts';

type WatchEvent = { type: string; object: KubeObject & { code?: number } };

const running: SimulatedCluster[] = [];
const place = mkdtempSync(join(tmpdir(), 'brokkr-cluster-'));

async function start(options: Parameters<typeof startSimulatedCluster>[0] = {}): Promise<SimulatedCluster> {
  const cluster = await startSimulatedCluster(options);
  running.push(cluster);
  return cluster;
}

/** Reads a watch until `count` events have arrived or it has ended; `onEvent` is called for each. */
async function watch(
  cluster: SimulatedCluster,
  query: string,
  count: number,
  onEvent: (event: WatchEvent) => void = () => {},
): Promise<WatchEvent[]> {
  const events: WatchEvent[] = [];
  const controller = new AbortController();
  const response = await fetch(`${cluster.url}/api/v1/configmaps?watch=true&${query}`, { signal: controller.signal });
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as WatchEvent;
      events.push(event);
      onEvent(event);
    }
    if (events.length >= count) break;
  }
  controller.abort();
  return events;
}

const configMap = (name: string, labels: JsonObject, data: JsonObject = {}): JsonObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels },
  data,
});

const watching = suite('watch and clients');
watching.after.each(async () => {
  for (const cluster of running.splice(0)) await cluster.stop();
});
watching.after(() => rmSync(place, { recursive: true, force: true }));

watching('resumes after a resource version', async () => {
  const cluster = await start();
  const first = cluster.put(configMap('a', { on: 'yes' }));
  cluster.put(configMap('a', {}, { x: '1' }));
  cluster.put(configMap('b', { on: 'yes' }));
  cluster.put(configMap('a', { on: 'no' }));
  cluster.remove('v1', 'ConfigMap', 'default', 'b');
  const events = await watch(cluster, `resourceVersion=${first.metadata.resourceVersion}&labelSelector=on%3Dyes`, 4);
  assert.equal(
    events.map(({ type, object }) => `${type} ${object.metadata.name}`),
    ['MODIFIED a', 'ADDED b', 'DELETED a', 'DELETED b'],
  );
  assert.is(events[0]?.object.kind, 'ConfigMap');
});

watching('sends existing objects, then changes', async () => {
  const cluster = await start();
  cluster.put(configMap('a', { on: 'yes' }));
  const events = await watch(cluster, 'labelSelector=on&sendInitialEvents=true', 3, ({ type }) => {
    if (type === 'BOOKMARK') cluster.put(configMap('b', { on: 'yes' }));
  });
  assert.equal(
    events.map(({ type, object }) => `${type} ${object.metadata.name}`),
    ['ADDED a', 'BOOKMARK undefined', 'ADDED b'],
  );
});

watching('refuses a resource version that is too old', async () => {
  const cluster = await start({ historySize: 5 });
  for (let n = 0; n < 20; n++) cluster.put(configMap('a', {}, { n: String(n) }));
  const [event] = await watch(cluster, 'resourceVersion=2', 9);
  assert.is(event?.type, 'ERROR');
  assert.is(event?.object.code, 410);
});

watching('ends after its timeoutoutout', async () => {
  const cluster = await start();
  assert.equal(
    await watch(
      cluster,
      `resourceVersion=${cluster.get('v1', 'Namespace', undefined, 'default')?.metadata.resourceVersion}&timeoutSeconds=1&labelSelector=none`,
      9,
    ),
    [],
  );
});

watching('records requests, and fails them on demand', async () => {
  const cluster = await start();
  const url = `${cluster.url}/api/v1/namespaces/default/configmaps`;
  const end = cluster.faults.add({ method: 'GET', pathIncludes: 'configmaps', status: 429, times: 1 });
  const seen: string[] = [];
  const forget = cluster.onRequest(({ method }) => void seen.push(method));
  const refused = await fetch(url);
  assert.is(refused.status, 429);
  assert.is(refused.headers.get('retry-after'), '1');
  assert.is((await fetch(url)).status, 200);
  end();
  forget();
  cluster.faults.add({ drop: true, times: 1 });
  assert.ok(
    await fetch(url).then(
      () => false,
      () => true,
    ),
  );
  assert.equal(
    cluster.requests.map(({ status }) => status),
    [429, 200, 0],
  );
  assert.equal(seen, ['GET', 'GET']);
  cluster.clearRequests();
  assert.is(cluster.requests.length, 0);
});

watching('can lose the answer of a write that was carried out', async () => {
  const cluster = await start();
  cluster.faults.add({ method: 'POST', drop: 'answer', times: 1 });
  const url = `${cluster.url}/api/v1/namespaces/default/configmaps`;
  const headers = { 'content-type': 'application/json' };
  const write = () => fetch(url, { method: 'POST', headers, body: JSON.stringify(configMap('lost', {})) });
  assert.ok(
    await write().then(
      () => false,
      () => true,
    ),
  );
  assert.ok(cluster.get('v1', 'ConfigMap', 'default', 'lost'));
  assert.is((await write()).status, 409);
});

watching('limits rights to namespaces', async () => {
  const cluster = await start({ rights: { namespaces: ['default'] } });
  const status = async (path: string) => (await fetch(cluster.url + path)).status;
  assert.is(await status('/api/v1/namespaces/default/configmaps'), 200);
  assert.is(await status('/api/v1/namespaces/kube-system/configmaps'), 403);
  assert.is(await status('/api/v1/namespaces/kube-system'), 403);
  assert.is(await status('/api/v1/namespaces'), 403);
  assert.is(await status('/apis/apps/v1'), 200);
});

watching('keeps the cluster in a file', async () => {
  const dataFile = join(place, 'cluster.json');
  const first = await start({ dataFile });
  const { metadata } = first.put(configMap('kept', {}));
  await first.stop();
  const second = await start({ dataFile, port: first.port });
  assert.is(second.uid, first.uid);
  assert.is(second.url, first.url);
  assert.equal(second.get('v1', 'ConfigMap', 'default', 'kept')?.metadata, metadata);
});

watching('serves the official client', async () => {
  const cluster = await start({ readyDelayMs: 5 });
  const config = new KubeConfig();
  config.loadFromString(cluster.kubeconfig);
  const api = KubernetesObjectApi.makeApiClient(config);
  const desired = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'typed', namespace: 'default' },
    data: { a: '1' },
  };
  const patch = (object: typeof desired, manager: string) =>
    api.patch(object, undefined, undefined, manager, undefined, PatchStrategy.ServerSideApply);
  await patch(desired, 'brokkr');
  const read = (await api.read({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'typed', namespace: 'default' },
  })) as typeof desired;
  assert.equal(read.data, { a: '1' });
  const refused = await patch({ ...desired, data: { a: '2' } }, 'other').catch((error: { code: number }) => error.code);
  assert.is(refused, 409);
  const { items } = await api.list('v1', 'ConfigMap', 'default');
  assert.ok(items.some((item) => item.metadata?.name === 'typed'));
  await api.delete(desired);
  assert.is(await api.read(desired).catch((error: { code: number }) => error.code), 404);
});

watching.run();
