import pino from 'pino';
import { createClusterState } from '../../agent/cache/cluster-state.ts';
import { createInventories } from '../../agent/inventory/inventory.ts';
import { createOwnership } from '../../agent/inventory/object-owners.ts';
import { createOrphanDiscovery } from '../../agent/inventory/orphan-discovery.ts';
import type { Cluster } from '../../agent/kube/cluster.ts';
import { createReconciler } from '../../agent/reconcile/reconciler.ts';
import { createStackStore } from '../../agent/reconcile/stack-store.ts';
import { createStackQueue, createTriggers } from '../../agent/reconcile/triggers.ts';
import type { StackEvent } from '../../agent/target/stack-event.ts';

export interface TestAgentOptions {
  /** A function is asked for each pass; default 50. */
  readonly maxDeletions?: number | (() => number);
  readonly watchNamespace?: string;
  readonly namespace?: string;
  readonly retry?: { baseMs: number; maxMs: number };
  readonly resyncMs?: number;
  /** The reason that the cluster counts as unreachable; undefined while it answers. */
  readonly outage?: () => string | undefined;
}

interface TestParts {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly manifests: ReadonlyMap<string, Uint8Array>;
  readonly events: StackEvent[];
}

/** Builds the parts of an agent that need no broker. */
export async function createParts(
  { cluster, namespace, manifests, events }: TestParts,
  options: TestAgentOptions,
  signal: AbortSignal,
) {
  const { watchNamespace, maxDeletions = 50, retry = { baseMs: 20, maxMs: 100 }, resyncMs = 600_000 } = options;
  const log = pino({ level: 'fatal' });
  const inventories = createInventories(cluster, namespace);
  const ownership = createOwnership();
  const stacks = createStackStore(await inventories.loadAll(signal), ownership);
  const queue = createStackQueue(stacks, { retry, log });
  const triggers = createTriggers(stacks, queue, retry);
  const clusterState = createClusterState({
    cluster,
    watchNamespace,
    log,
    outage: options.outage ?? (() => undefined),
    objectsChanged: triggers.objectsChanged,
    healthChanged: triggers.healthChanged,
    retry: { baseMs: 20, maxMs: 100 },
  });
  const context = {
    objectCache: clusterState.objectCache,
    untilWatched: clusterState.untilWatched,
    cluster,
    inventories,
    ownership,
    orphanDiscovery: createOrphanDiscovery(cluster, watchNamespace, signal),
    scope: { defaultNamespace: watchNamespace ?? 'default', watchNamespace },
    agentNamespace: { name: namespace, isShared: namespace === watchNamespace, keySecret: 'brokkr-agent-key' },
    readManifest: async (checksum: string) => manifests.get(checksum),
  };
  const reconciler = createReconciler({
    context,
    maxDeletions: () => (typeof maxDeletions === 'number' ? maxDeletions : maxDeletions()),
    stacks,
    queue,
    triggers,
    report: (event) => void events.push(event),
    observePass: () => {},
    superseded: () => {},
    log,
    retry,
    resyncMs,
  });
  return { stacks, triggers, clusterState, reconciler };
}
