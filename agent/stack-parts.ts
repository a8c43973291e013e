import type { BrokerClient } from './broker/client.ts';
import { createEventReporter, type EventReporter } from './broker/event-reporter.ts';
import { createHealthReporter, type HealthReporter } from './broker/health-reporter.ts';
import { createPullRequests, type PullRequests } from './broker/pull-requests.ts';
import { type ClusterState, createClusterState } from './cache/cluster-state.ts';
import type { Backoff } from './concurrency/backoff.ts';
import { createChangeSet } from './concurrency/change-set.ts';
import type { AgentContext } from './context.ts';
import type { Inventories, Inventory } from './inventory/inventory.ts';
import { createOwnership, type Ownership } from './inventory/object-owners.ts';
import { createOrphanDiscovery } from './inventory/orphan-discovery.ts';
import { createReconciler, type Reconciler, type ReconcilerOptions } from './reconcile/reconciler.ts';
import { createStackStore, type StackStore } from './reconcile/stack-store.ts';
import { createStackQueue, createTriggers, type Triggers } from './reconcile/triggers.ts';

/** The parts that keep stacks as desired, and report how they are. */
export interface StackParts {
  readonly inventories: Inventories;
  readonly ownership: Ownership;
  readonly stacks: StackStore;
  readonly triggers: Triggers;
  readonly clusterState: ClusterState;
  readonly reconciler: Reconciler;
  readonly eventReporter: EventReporter;
  readonly healthReporter: HealthReporter;
  readonly pullRequests: PullRequests;
}

export interface LoadedInventories {
  readonly inventories: Inventories;
  /** Their content at the start, by stack. */
  readonly loaded: ReadonlyMap<string, Inventory>;
}

const defaultRetry: Backoff = { baseMs: 1_000, maxMs: 60_000 };

/**
 * Builds the parts in the order of their dependencies: stores and queues first, then the producers that fill them, and last the
 * reconciler, which works them off.
 */
export function createStackParts(
  context: AgentContext,
  broker: BrokerClient,
  { inventories, loaded }: LoadedInventories,
): StackParts {
  const { options, metrics } = context;
  const { log, retry = defaultRetry, resyncMs } = options;
  const ownership = createOwnership();
  const stacks = createStackStore(loaded, ownership);
  const queue = createStackQueue(stacks, { retry, log });
  const triggers = createTriggers(stacks, queue, retry);
  const healthChanges = createChangeSet();
  const pullRequests = createPullRequests();
  const eventReporter = createEventReporter({
    broker,
    log,
    lost: triggers.eventLost,
    count: (receipt) => metrics.events.inc({ receipt }),
  });
  const clusterState = observeCluster(context, triggers, healthChanges.add);
  const { healthOf } = clusterState.healthMonitor;
  const healthReporter = createHealthReporter({ broker, log, changes: healthChanges, healthOf });
  const reconciler = createReconciler({
    context: { ...clusterContext(context), ...watchedObjects(clusterState), inventories, ownership },
    maxDeletions: () => context.settings().maxDeletions,
    stacks,
    queue,
    triggers,
    ...passObservers(context, eventReporter),
    superseded: pullRequests.pullFull,
    log,
    retry,
    resyncMs,
  });
  const reporters = { eventReporter, healthReporter };
  return { inventories, ownership, stacks, triggers, clusterState, reconciler, ...reporters, pullRequests };
}

/** Builds the caches and watches; what they see makes stacks due, and their health is reported. */
function observeCluster(
  { connections, config, options, connectivity, metrics }: AgentContext,
  triggers: Triggers,
  healthChanged: (stackId: string) => void,
): ClusterState {
  return createClusterState({
    cluster: connections.cluster,
    watchNamespace: config.watchNamespace,
    log: options.log,
    outage: () => (connectivity.cluster.ready ? undefined : connectivity.cluster.reason),
    objectsChanged: triggers.objectsChanged,
    healthChanged: (stackId) => {
      healthChanged(stackId);
      triggers.healthChanged(stackId);
    },
    applied: (seconds) => metrics.applies.observe(seconds),
  });
}

/** The part of a pass's context that does not depend on other parts. */
function clusterContext({ connections: { cluster }, config, manifests, signal }: AgentContext) {
  const { namespace, watchNamespace, enrollment } = config;
  return {
    cluster,
    orphanDiscovery: createOrphanDiscovery(cluster, watchNamespace, signal),
    scope: { defaultNamespace: watchNamespace ?? 'default', watchNamespace },
    agentNamespace: { name: namespace, isShared: namespace === watchNamespace, keySecret: enrollment.secret },
    readManifest: manifests.read,
  };
}

/** The part of a pass's context that watches feed. */
function watchedObjects({
  objectCache,
  untilWatched,
}: ClusterState): Pick<ClusterState, 'objectCache' | 'untilWatched'> {
  return { objectCache, untilWatched };
}

/** Reports what passes do, and counts and traces it. */
function passObservers(
  { metrics, traces }: AgentContext,
  eventReporter: EventReporter,
): Pick<ReconcilerOptions, 'report' | 'observePass'> {
  return {
    report(event) {
      const { outcome, changes } = event;
      if (outcome === 'repaired' || outcome === 'drifted') metrics.drift.inc({ outcome }, changes.length);
      eventReporter.report(event);
    },
    observePass(outcome, seconds, fresh) {
      metrics.passes.observe({ outcome }, seconds);
      if (fresh) traces.passed(fresh, outcome, seconds);
    },
  };
}
