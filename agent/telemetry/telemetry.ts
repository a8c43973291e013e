import type { Logger } from 'pino';
import type { Backoff } from '../concurrency/backoff.ts';
import type { Ownership } from '../inventory/object-owners.ts';
import type { Cluster } from '../kube/cluster.ts';
import { watchEvents } from './events.ts';
import type { TelemetryLevel } from './level.ts';
import { createOutbox, type Outbox, type OutboxLimits } from './outbox.ts';
import { createOwners } from './owners.ts';
import { createPodLogs, type PodLogLimits } from './pod-logs.ts';

export interface TelemetryOptions {
  readonly level: TelemetryLevel;
  /** With connections and a limit of its own, so that it takes none from passes. */
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly ownership: Pick<Ownership, 'ownerOf' | 'namespaces'>;
  /** "namespace/name" of the account that the stack's pods are looked at with; empty for the agent's own rights. */
  readonly accountOf: (stackId: string) => string;
  readonly stackIds: () => Iterable<string>;
  readonly log: Logger;
  readonly retry?: Backoff;
  readonly limits?: TelemetryLimits;
}

export interface TelemetryLimits {
  readonly outbox?: OutboxLimits;
  readonly logs?: Partial<PodLogLimits>;
}

/** Tells the broker what the cluster itself says about what belongs to stacks: Kubernetes events, and the logs of pods that ask for it. */
export interface Telemetry {
  readonly outbox: Outbox;
  readonly streams: number;
  run(signal: AbortSignal): Promise<void>;
}

export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { level, cluster, namespace, log, limits } = options;
  const retry = options.retry && { retry: options.retry };
  const outbox = createOutbox(limits?.outbox);
  const owners = createOwners(cluster, options.ownership);
  const clusterFor = (stackId: string) => {
    const account = options.accountOf(stackId);
    return account === '' ? cluster : cluster.impersonate(account);
  };
  const logs = createPodLogs({
    cluster,
    clusterFor,
    namespace,
    owners,
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
        level !== 'off' && watchEvents({ cluster, namespace, owners, outbox, stackIds, log, ...retry }, signal),
        level === 'all' && logs.run(signal),
      ]);
    },
  };
}
