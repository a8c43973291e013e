import type { Logger } from 'pino';
import type { Backoff } from '../concurrency/backoff.ts';
import type { Ownership } from '../inventory/object-owners.ts';
import type { Cluster } from '../kube/cluster.ts';
import { watchEvents } from './events.ts';
import type { QueueLimits } from './item-queue.ts';
import type { TelemetryLevel } from './level.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { createPodLogs, type PodLogLimits } from './pod-logs.ts';
import { createStackFinder } from './stack-finder.ts';

export interface TelemetryOptions {
  readonly level: TelemetryLevel;
  /** Cluster access with connections and a limit of its own, so that telemetry takes none from passes. */
  readonly cluster: Cluster;
  /** Namespace to watch; empty for all. */
  readonly namespace: string;
  readonly ownership: Pick<Ownership, 'ownerOf' | 'namespaces'>;
  /** Returns the ServiceAccount, as "namespace/name", to read a stack's pods with; empty for the agent's own rights. */
  readonly accountOf: (stackId: string) => string;
  readonly stackIds: () => Iterable<string>;
  readonly log: Logger;
  readonly retry?: Backoff;
  readonly limits?: TelemetryLimits;
}

export interface TelemetryLimits {
  readonly outbox?: QueueLimits;
  readonly logs?: Partial<PodLogLimits>;
}

/** Collects what the cluster says about the objects of stacks: Kubernetes events, and the logs of pods that ask for it. */
export interface Telemetry {
  readonly outbox: Outbox;
  /** Number of logs that are being read. */
  readonly streams: number;
  /** Collects until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Creates the telemetry of an agent at a level. */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { level, cluster, namespace, log, limits } = options;
  const retry = options.retry && { retry: options.retry };
  const outbox = createOutbox(limits?.outbox);
  const stackFinder = createStackFinder(cluster, options.ownership);
  const clusterFor = (stackId: string) => {
    const account = options.accountOf(stackId);
    return account === '' ? cluster : cluster.impersonate(account);
  };
  const logs = createPodLogs({
    cluster,
    clusterFor,
    namespace,
    stackFinder,
    outbox,
    log,
    ...retry,
    ...(limits?.logs && { limits: limits.logs }),
  });
  return {
    outbox,
    get streams() {
      return logs.streams;
    },
    async run(signal) {
      const { stackIds } = options;
      await Promise.all([
        level !== 'off' && watchEvents({ cluster, namespace, stackFinder, outbox, stackIds, log, ...retry }, signal),
        level === 'all' && logs.run(signal),
      ]);
    },
  };
}
