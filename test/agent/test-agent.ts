import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterState } from '../../agent/cache/cluster-state.ts';
import { hasStatus } from '../../agent/kube/api-error.ts';
import { connectCluster } from '../../agent/kube/client.ts';
import type { Cluster } from '../../agent/kube/cluster.ts';
import { ensureNamespace } from '../../agent/kube/cluster-identity.ts';
import type { KubeSource } from '../../agent/kube/kubeconfig.ts';
import {
  displayName,
  type KindId,
  type KubeObject,
  type ObjectId,
  objectIdOf,
} from '../../agent/object/kube-object.ts';
import type { StackStore } from '../../agent/reconcile/stack-store.ts';
import type { Triggers } from '../../agent/reconcile/triggers.ts';
import type { StackEvent } from '../../agent/target/stack-event.ts';
import type { Entry } from '../../agent/target/target-state.ts';
import type { TargetState } from '../../contract/target-state.ts';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import type { KubeAccess } from '../../sandbox/apiserver/client.ts';
import { startSimulatedNode } from '../../sandbox/apiserver/node.ts';
import { type ClusterOptions, type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { createParts, type TestAgentOptions } from './agent-parts.ts';

export type { TestAgentOptions } from './agent-parts.ts';

/** An agent without a broker, which takes target states as plain values. */
export interface TestAgent {
  readonly stacks: StackStore;
  readonly triggers: Triggers;
  readonly clusterState: ClusterState;
  /** All events so far, oldest first. */
  readonly events: StackEvent[];
  /** Makes these stacks the whole target state, and their manifests available. */
  setTarget(wishes: readonly TargetStack[], more?: Partial<Omit<TargetState, 'entries'>>): void;
  /** Every write to the cluster so far, dry runs left out: "apply ConfigMap default/a". */
  readonly writes: string[];
  /** Writes to anything but the inventory. */
  objectWrites(): string[];
  /** Resolves to the next event about a stack after the call. */
  nextEvent(stackId: string, outcome?: StackEvent['outcome']): Promise<StackEvent>;
  /** Waits until every stack is as desired. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export type TargetStack = Partial<Omit<Entry, 'stackId'>> & {
  readonly stackId: string;
  readonly objects?: readonly KubeObject[];
};

/** Long enough for the slowest machine; a passing test never waits for it. */
const deadlineMs = 60_000;

/** Returns an id like the broker's, always the same for the same name. */
export function stackId(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Serializes a manifest as the broker stores it. */
function manifestOf(objects: readonly KubeObject[]): { data: Buffer; checksum: string } {
  const data = Buffer.from(objects.map((object) => `${JSON.stringify(object)}\n`).join(''));
  return { data, checksum: createHash('sha256').update(data).digest('hex') };
}

export function configMap(name: string, data: Record<string, string>, namespace?: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...(namespace && { namespace }) }, data };
}

export async function startTestAgent(source: KubeSource, options: TestAgentOptions = {}): Promise<TestAgent> {
  const { namespace = 'brokkr' } = options;
  const ending = new AbortController();
  const writes: string[] = [];
  const cluster = recordWrites(writes, connect(source));
  await ensureNamespace(cluster, namespace, ending.signal);
  const manifests = new Map<string, Buffer>();
  const events: StackEvent[] = [];
  const parts = { cluster, namespace, manifests, events };
  const { stacks, triggers, clusterState, reconciler } = await createParts(parts, options, ending.signal);
  const watching = clusterState.run(ending.signal);
  return {
    stacks,
    triggers,
    clusterState,
    events,
    writes,
    objectWrites: () => writes.filter((write) => !write.includes('/brokkr-inv-')),
    setTarget(targets, { epoch = 1n, paused = false, generators = [] } = {}) {
      const entries = targets.map((target) => toEntry(target, manifests));
      triggers.targetReceived({ epoch, paused, entries, generators });
    },
    async nextEvent(stack, outcome) {
      const from = events.length;
      const isNext = (event: StackEvent) =>
        event.stackId === stack && (outcome === undefined || event.outcome === outcome);
      const found = () => events.slice(from).find(isNext);
      await until(() => found() !== undefined, `an event ${outcome ?? ''} about ${stack}`);
      return found()!;
    },
    settled: () => until(() => stacks.counts.unsettled === 0, 'every stack to be as desired'),
    async close() {
      await reconciler.close(0);
      ending.abort();
      await watching;
      cluster.close();
    },
  };
}

/** Makes an entry like the broker's, and stores its manifest. */
function toEntry({ objects, ...target }: TargetStack, manifests: Map<string, Buffer>): Entry {
  const { data, checksum } = objects ? manifestOf(objects) : { data: Buffer.alloc(0), checksum: '' };
  if (objects) manifests.set(checksum, data);
  return { ...defaultEntry, stack: target.stackId.slice(0, 8), ...target, checksum, size: data.length };
}

/** A cluster to test on, with a client that changes it as another user would. */
export interface TestCluster {
  readonly source: KubeSource;
  readonly admin: ClusterAdmin;
  /** Address and token for direct requests to the API. */
  readonly address: KubeAccess;
  /** Injects faults and logs requests; undefined for the real API server. */
  readonly simulated: SimulatedCluster | undefined;
  close(): Promise<void>;
}

export interface ClusterAdmin {
  get(id: ObjectId): Promise<KubeObject | undefined>;
  create(object: KubeObject): Promise<KubeObject>;
  /** Replaces the live object by what `change` makes of it; retries on a conflict. */
  edit(id: ObjectId, change: (live: KubeObject) => KubeObject): Promise<KubeObject>;
  remove(id: ObjectId): Promise<void>;
  list(kind: KindId, namespace: string): Promise<KubeObject[]>;
}

export async function openSimulatedCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const simulated = await startSimulatedCluster({ readyDelayMs: 5, pods: false, ...options });
  const source = { text: simulated.kubeconfig };
  const { admin, release } = connectAdmin(source);
  const close = async () => {
    release();
    await simulated.stop();
  };
  const address = { url: simulated.url, token: 'simulated', ca: undefined };
  return { source, admin, address, simulated, close };
}

/** Opens a real kube-apiserver; only where `needs('go')` is true. With `node`, a simulated node runs its pods. */
export async function openRealCluster({ node = false } = {}): Promise<TestCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-agent-kube-'));
  const kube = await startKube({ dataDir });
  const running = node ? await startSimulatedNode(kube) : undefined;
  const source = { file: kube.kubeconfig };
  const { admin, release } = connectAdmin(source);
  const close = async () => {
    release();
    await running?.close();
    await kube.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  const { url, token, ca } = kube;
  return { source, admin, address: { url, token, ca }, simulated: undefined, close };
}

function connectAdmin(source: KubeSource): { admin: ClusterAdmin; release: () => void } {
  const cluster = connect(source);
  const { signal } = new AbortController();
  const admin: ClusterAdmin = {
    get: (id) => cluster.get(id, signal),
    create: (object) => cluster.create(object, signal),
    async edit(id, change) {
      for (const end = Date.now() + deadlineMs; ; ) {
        const live = await cluster.get(id, signal);
        if (!live) throw new Error(`there is no ${displayName(id)} to edit`);
        try {
          return await cluster.replace(change(live), signal);
        } catch (error) {
          if (!hasStatus(error, 409) || Date.now() > end) throw error;
        }
      }
    },
    async remove(id) {
      const live = await cluster.get(id, signal);
      if (live) await cluster.remove(id, live.metadata.uid ?? '', signal);
    },
    list: (kind, namespace) => cluster.list(kind, { namespace }, signal),
  };
  return { admin, release: cluster.close };
}

export function connect(source: KubeSource, { timeoutMs = 10_000 } = {}): Cluster {
  return connectCluster(source, {
    timeoutMs,
    concurrency: 32,
    userAgent: 'brokkr-agent/test',
    observe: () => {},
  });
}

/** Returns the same cluster, and records every write in `writes`. */
function recordWrites(writes: string[], cluster: Cluster): Cluster {
  const note = (verb: string, id: ObjectId) => writes.push(`${verb} ${displayName(id)}`);
  return {
    ...cluster,
    impersonate: (serviceAccount) => recordWrites(writes, cluster.impersonate(serviceAccount)),
    apply(object, resource, options, signal) {
      if (!options.dryRun) note('apply', objectIdOf(object));
      return cluster.apply(object, resource, options, signal);
    },
    create(object, signal) {
      note('create', objectIdOf(object));
      return cluster.create(object, signal);
    },
    patch(id, patch, signal) {
      note('patch', id);
      return cluster.patch(id, patch, signal);
    },
    replace(object, signal) {
      note('replace', objectIdOf(object));
      return cluster.replace(object, signal);
    },
    remove(id, uid, signal) {
      note('remove', id);
      return cluster.remove(id, uid, signal);
    },
  };
}

export function configMapId(name: string, namespace = 'default'): ObjectId {
  return { apiVersion: 'v1', kind: 'ConfigMap', namespace, name };
}

/** Waits until `isDone` is true; rejects with `what` in the message after `waitMs`. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  what: string,
  waitMs = deadlineMs,
): Promise<void> {
  const end = Date.now() + waitMs;
  while (!(await isDone())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await delay(10);
  }
}

/** An entry of the target state with the default settings. */
export const defaultEntry: Omit<Entry, 'stackId'> = {
  stack: '',
  generator: 'ci',
  deploymentId: '',
  revision: 1,
  order: 1n,
  state: 'active',
  generation: 1n,
  checksum: '',
  size: 0,
  onDelete: 'prune',
  held: false,
  confirmed: false,
  confirmedKeys: [],
  kinds: [],
  reason: '',
  serviceAccount: '',
  drift: 'repair',
  ignoredFields: [],
  conflict: 'adopt',
  forceReplace: false,
  dependsOnIds: [],
  traceParent: '',
};
