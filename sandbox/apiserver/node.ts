import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { generate } from 'selfsigned';
import { podStatus } from '../cluster/controllers/pod-status.ts';
import { at, type JsonObject, type KubeObject, keyOf, listAt, objectAt, textAt } from '../cluster/core/object.ts';
import { StatusError } from '../cluster/core/status.ts';
import { createLogs } from '../cluster/http/logs.ts';
import { HOST } from '../host.ts';
import { askKube, type KubeAccess, type KubeAsk, MERGE_PATCH, watchKube } from './client.ts';

export interface NodeOptions {
  /** Milliseconds until a pod is bound, and again until its final status; default 50. */
  readonly stepMs?: number;
}

/** A node that runs no containers and reports what a kubelet would report. */
export interface SimulatedNode {
  /** Leaves the Node and its pods as they are, as when a node stops responding. */
  close(): Promise<void>;
}

const NAME = 'simulated';
const AGAIN_MS = 500;

type Pods = Map<string, KubeObject>;

/**
 * Adds a simulated node to a real API server, and resolves when it is registered. Every pod is bound to it, behaves as
 * its image and `BEHAVIOUR` say, has a log, and disappears soon after its deletion. The node retries while the API
 * server is unavailable.
 */
export async function startSimulatedNode(access: KubeAccess, options: NodeOptions = {}): Promise<SimulatedNode> {
  const { stepMs = 50 } = options;
  const pods: Pods = new Map();
  const closing = new AbortController();
  const { signal } = closing;
  const kubelet = await startKubelet(pods);
  const close = async () => {
    closing.abort(new Error('the node has been closed'));
    for (const { timer } of due.values()) clearTimeout(timer);
    kubelet.closeAllConnections();
    await Promise.all([running, new Promise((settle) => kubelet.close(settle))]);
  };
  const due = new Map<string, { timer: NodeJS.Timeout }>();
  const tendLater = (key: string, waitMs: number) => {
    if (signal.aborted || due.has(key)) return;
    const timer = setTimeout(async () => {
      due.delete(key);
      const pod = pods.get(key);
      const step = pod && nextStep(pod);
      if (!step) return;
      const isDone = await askKube(access, { ...step, signal }).then(
        ({ status }) => status < 300 || status === 404,
        () => false,
      );
      if (!isDone) tendLater(key, AGAIN_MS);
    }, waitMs);
    due.set(key, { timer });
  };
  const see = (pod: KubeObject) => {
    const key = keyOf(pod.metadata.namespace, pod.metadata.name);
    pods.set(key, pod);
    tendLater(key, stepMs);
  };
  const forget = ({ metadata }: KubeObject) => pods.delete(keyOf(metadata.namespace, metadata.name));
  const follow = async () => {
    while (!signal.aborted) {
      try {
        await followPods(access, { start: pods.clear.bind(pods), see, forget }, signal);
      } catch {
        // The API server is unavailable, or the watched resource version is too old: list the pods again.
        await delay(AGAIN_MS, undefined, { signal }).catch(() => {});
      }
    }
  };
  let running = Promise.resolve();
  try {
    await register(access, (kubelet.address() as AddressInfo).port);
    running = follow();
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function register(access: KubeAccess, port: number): Promise<void> {
  const ask = async (request: KubeAsk, ...fine: number[]) => {
    const { status, body } = await askKube<JsonObject>(access, request);
    if (status >= 300 && !fine.includes(status)) throw new Error(`the node is refused: ${textAt(body, 'message')}`);
  };
  const path = `/api/v1/nodes/${NAME}`;
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: NAME, labels: { 'kubernetes.io/hostname': NAME } } };
  await ask({ method: 'POST', path: '/api/v1/nodes', body: node }, 409);
  // A new node has a not-ready taint, which a controller would remove; there is none here.
  await ask({ method: 'PATCH', path, body: { spec: { taints: null } }, contentType: MERGE_PATCH });
  const status = { ...nodeStatus(), daemonEndpoints: { kubeletEndpoint: { Port: port } } };
  await ask({ method: 'PATCH', path: `${path}/status`, body: { status }, contentType: MERGE_PATCH });
}

function nodeStatus(): JsonObject {
  const now = new Date().toISOString();
  const ready = { type: 'Ready', status: 'True', reason: 'Simulated', lastHeartbeatTime: now, lastTransitionTime: now };
  const room = { cpu: '64', memory: '256Gi', pods: '5000' };
  return { addresses: [{ type: 'InternalIP', address: HOST }], capacity: room, allocatable: room, conditions: [ready] };
}

interface Follower {
  /** Called before a complete list of pods. */
  start(): void;
  see(pod: KubeObject): void;
  forget(pod: KubeObject): void;
}

/** Passes on every pod, and every change of one, until the watch ends. */
async function followPods(access: KubeAccess, { start, see, forget }: Follower, signal: AbortSignal): Promise<void> {
  const { status, body } = await askKube<JsonObject>(access, { method: 'GET', path: '/api/v1/pods', signal });
  if (status !== 200) throw new Error(`the pods cannot be listed: ${status}`);
  start();
  for (const pod of listAt(body, 'items')) see(pod as KubeObject);
  const path = `/api/v1/pods?watch=true&resourceVersion=${textAt(body, 'metadata.resourceVersion')}`;
  for await (const { type, object } of watchKube<{ type: string; object: KubeObject }>(access, path, signal)) {
    if (type === 'ERROR') return;
    if (type === 'DELETED') forget(object);
    else see(object);
  }
}

/** Returns the next request for a pod in its current state, or undefined when there is nothing to do. */
function nextStep(pod: KubeObject): KubeAsk | undefined {
  const { name, namespace, uid, deletionTimestamp } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const node = textAt(pod, 'spec.nodeName');
  if (deletionTimestamp) {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, preconditions: { uid } };
    return { method: 'DELETE', path, body };
  }
  if (!node) {
    if (listAt(pod, 'spec.schedulingGates').length > 0) return undefined;
    const target = { apiVersion: 'v1', kind: 'Node', name: NAME };
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, uid }, target };
    return { method: 'POST', path: `${path}/binding`, body: binding };
  }
  const isOver = ['Succeeded', 'Failed'].includes(textAt(pod, 'status.phase') ?? '');
  if (node !== NAME || isOver) return undefined;
  const status = podStatus(pod, true);
  if (outline(status) === outline(objectAt(pod, 'status'))) return undefined;
  return { method: 'PATCH', path: `${path}/status`, body: { status }, contentType: MERGE_PATCH };
}

/** Serialises a pod's status without times and without the fields that the API server adds. */
function outline(status: JsonObject): string {
  const containers = listAt(status, 'containerStatuses').map((one) => [
    at(one, 'name'),
    at(one, 'ready'),
    at(one, 'restartCount'),
    Object.keys(objectAt(one, 'state')),
    at(one, 'state.waiting.reason'),
  ]);
  return JSON.stringify([at(status, 'phase'), containers]);
}

/** Serves the kubelet endpoint from which the API server reads logs. */
async function startKubelet(pods: Pods): Promise<Server> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: NAME }], { keyType: 'ec' });
  const logs = createLogs();
  const server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://node');
    const [, place, namespace, name = '', container = ''] = url.pathname.split('/').map(decodeURIComponent);
    const pod = place === 'containerLogs' ? pods.get(keyOf(namespace, name)) : undefined;
    url.searchParams.set('container', container);
    try {
      if (!pod) throw new StatusError(404, `no pod ${name} on this node`);
      logs.stream(pod, url.searchParams, response);
    } catch (error) {
      response.writeHead(error instanceof StatusError ? error.code : 500, { 'content-type': 'text/plain' });
      response.end(error instanceof StatusError ? error.message : 'the log cannot be told');
    }
  });
  await new Promise<void>((settle, fail) => {
    server.once('error', fail);
    server.listen(0, HOST, settle);
  });
  return server;
}
