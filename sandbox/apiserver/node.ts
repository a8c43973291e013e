import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { generate } from 'selfsigned';
import { podStatus } from '../cluster/controllers/pod-status.ts';
import {
  type JsonObject,
  type KubeObject,
  listAt,
  objectAt,
  objectKey,
  textAt,
  valueAt,
} from '../cluster/core/object.ts';
import { StatusError } from '../cluster/core/status.ts';
import { createLogs } from '../cluster/http/logs.ts';
import { HOST } from '../host.ts';
import { type KubeAccess, type KubeRequest, MERGE_PATCH, requestKube, watchKube } from './client.ts';

export interface NodeOptions {
  /** Milliseconds until a pod is bound, and again until its final status; default 50. */
  readonly stepMs?: number;
}

/** A node that runs no containers and reports what a kubelet would report. */
export interface SimulatedNode {
  /** Leaves the Node and its pods as they are, as when a node stops responding. */
  close(): Promise<void>;
}

const NODE_NAME = 'simulated';
const RETRY_MS = 500;

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
    for (const { timer } of timers.values()) clearTimeout(timer);
    kubelet.closeAllConnections();
    await Promise.all([running, new Promise((resolve) => kubelet.close(resolve))]);
  };
  const timers = new Map<string, { timer: NodeJS.Timeout }>();
  const scheduleRequest = (key: string, waitMs: number) => {
    if (signal.aborted || timers.has(key)) return;
    const timer = setTimeout(async () => {
      timers.delete(key);
      const pod = pods.get(key);
      const nextStep = pod && nextRequest(pod);
      if (!nextStep) return;
      const isDone = await requestKube(access, { ...nextStep, signal }).then(
        ({ status }) => status < 300 || status === 404,
        () => false,
      );
      if (!isDone) scheduleRequest(key, RETRY_MS);
    }, waitMs);
    timers.set(key, { timer });
  };
  const updatePod = (pod: KubeObject) => {
    const key = objectKey(pod.metadata.namespace, pod.metadata.name);
    pods.set(key, pod);
    scheduleRequest(key, stepMs);
  };
  const removePod = ({ metadata }: KubeObject) => pods.delete(objectKey(metadata.namespace, metadata.name));
  const follow = async () => {
    while (!signal.aborted) {
      try {
        await followPods(access, { start: pods.clear.bind(pods), updatePod, removePod }, signal);
      } catch {
        // The API server is unavailable, or the watched resource version is too old: list the pods again.
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
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
  const sendOk = async (request: KubeRequest, ...acceptedStatuses: number[]) => {
    const { status, body } = await requestKube<JsonObject>(access, request);
    if (status >= 300 && !acceptedStatuses.includes(status))
      throw new Error(`the node is refused: ${textAt(body, 'message')}`);
  };
  const path = `/api/v1/nodes/${NODE_NAME}`;
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE_NAME, labels: { 'kubernetes.io/hostname': NODE_NAME } },
  };
  await sendOk({ method: 'POST', path: '/api/v1/nodes', body: node }, 409);
  // A new node has a not-ready taint, which a controller would remove; there is none here.
  await sendOk({ method: 'PATCH', path, body: { spec: { taints: null } }, contentType: MERGE_PATCH });
  const status = { ...nodeStatus(), daemonEndpoints: { kubeletEndpoint: { Port: port } } };
  await sendOk({ method: 'PATCH', path: `${path}/status`, body: { status }, contentType: MERGE_PATCH });
}

function nodeStatus(): JsonObject {
  const now = new Date().toISOString();
  const ready = { type: 'Ready', status: 'True', reason: 'Simulated', lastHeartbeatTime: now, lastTransitionTime: now };
  const capacity = { cpu: '64', memory: '256Gi', pods: '5000' };
  return {
    addresses: [{ type: 'InternalIP', address: HOST }],
    capacity,
    allocatable: capacity,
    conditions: [ready],
  };
}

interface PodHandler {
  /** Called before a complete list of pods. */
  start(): void;
  updatePod(pod: KubeObject): void;
  removePod(pod: KubeObject): void;
}

/** Passes on every pod, and every change of one, until the watch ends. */
async function followPods(
  access: KubeAccess,
  { start, updatePod, removePod }: PodHandler,
  signal: AbortSignal,
): Promise<void> {
  const { status, body } = await requestKube<JsonObject>(access, { method: 'GET', path: '/api/v1/pods', signal });
  if (status !== 200) throw new Error(`the pods cannot be listed: ${status}`);
  start();
  for (const pod of listAt(body, 'items')) updatePod(pod as KubeObject);
  const path = `/api/v1/pods?watch=true&resourceVersion=${textAt(body, 'metadata.resourceVersion')}`;
  for await (const { type, object } of watchKube<{ type: string; object: KubeObject }>(access, path, signal)) {
    if (type === 'ERROR') return;
    if (type === 'DELETED') removePod(object);
    else updatePod(object);
  }
}

/** Returns the next request for a pod in its current state, or undefined when there is nothing to do. */
function nextRequest(pod: KubeObject): KubeRequest | undefined {
  const { name, namespace, uid, deletionTimestamp } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const node = textAt(pod, 'spec.nodeName');
  if (deletionTimestamp) {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, preconditions: { uid } };
    return { method: 'DELETE', path, body };
  }
  if (!node) {
    if (listAt(pod, 'spec.schedulingGates').length > 0) return undefined;
    const target = { apiVersion: 'v1', kind: 'Node', name: NODE_NAME };
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, uid }, target };
    return { method: 'POST', path: `${path}/binding`, body: binding };
  }
  const isOver = ['Succeeded', 'Failed'].includes(textAt(pod, 'status.phase') ?? '');
  if (node !== NODE_NAME || isOver) return undefined;
  const status = podStatus(pod, true);
  if (serializeStatus(status) === serializeStatus(objectAt(pod, 'status'))) return undefined;
  return { method: 'PATCH', path: `${path}/status`, body: { status }, contentType: MERGE_PATCH };
}

/** Serialises a pod's status without times and without the fields that the API server adds. */
function serializeStatus(status: JsonObject): string {
  const containers = listAt(status, 'containerStatuses').map((one) => [
    valueAt(one, 'name'),
    valueAt(one, 'ready'),
    valueAt(one, 'restartCount'),
    Object.keys(objectAt(one, 'state')),
    valueAt(one, 'state.waiting.reason'),
  ]);
  return JSON.stringify([valueAt(status, 'phase'), containers]);
}

/** Serves the kubelet endpoint from which the API server reads logs. */
async function startKubelet(pods: Pods): Promise<Server> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: NODE_NAME }], { keyType: 'ec' });
  const logs = createLogs();
  const server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://node');
    const [, place, namespace, name = '', container = ''] = url.pathname.split('/').map(decodeURIComponent);
    const pod = place === 'containerLogs' ? pods.get(objectKey(namespace, name)) : undefined;
    url.searchParams.set('container', container);
    try {
      if (!pod) throw new StatusError(404, `no pod ${name} on this node`);
      logs.stream(pod, url.searchParams, response);
    } catch (error) {
      response.writeHead(error instanceof StatusError ? error.code : 500, { 'content-type': 'text/plain' });
      response.end(error instanceof StatusError ? error.message : 'the log cannot be told');
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, resolve);
  });
  return server;
}
