import type { Logger } from 'pino';
import { type Backoff, sleep } from '../concurrency/backoff.ts';
import { hasDetail } from '../health/pod-diagnosis.ts';
import type { Health, StackHealth } from '../health/status.ts';
import type { Cluster } from '../kube/cluster.ts';
import type { KubeObject } from '../object/kube-object.ts';
import { stackHealthOf } from './aggregate.ts';
import type { ObjectCache } from './object-cache.ts';
import { createPodInspector } from './pod-inspector.ts';

export interface HealthMonitorOptions {
  readonly cluster: Cluster;
  readonly objectCache: Pick<ObjectCache, 'get' | 'stackIds'>;
  readonly log: Logger;
  /** Returns why the cluster does not answer; undefined while it does. */
  readonly outage: () => string | undefined;
  /** Called when the health of a stack may have changed. */
  readonly changed: (stackId: string) => void;
  /** Delays between two inspections of an unhealthy object's pods; default 2 s growing to 15 s. */
  readonly backoff?: Backoff;
  /** Milliseconds after which an outage counts; default 5 s. */
  readonly outageMs?: number;
}

/** Tracks stack health and investigates unhealthy objects. */
export interface HealthMonitor {
  /** Notes that an object of a stack was seen; undefined for one that does not exist. */
  objectSeen(stackId: string, key: string, object: KubeObject | undefined): void;
  /** Returns the present health of a stack; undefined when nothing is known of it. */
  healthOf(stackId: string): StackHealth | undefined;
  /** Counts the stacks by health. */
  counts(): Partial<Record<Health, number>>;
  run(signal: AbortSignal): Promise<void>;
}

const defaultBackoff: Backoff = { baseMs: 2_000, maxMs: 15_000 };

export function createHealthMonitor(options: HealthMonitorOptions): HealthMonitor {
  const { cluster, objectCache, log, changed, backoff = defaultBackoff, outageMs = 5_000 } = options;
  const cachedObject = (stackId: string, key: string) => objectCache.get(stackId)?.objects.get(key);
  const inspector = createPodInspector({
    cluster,
    log,
    backoff,
    find: (stackId, key) => cachedObject(stackId, key)?.id,
    changed,
  });
  const outage = createOutage(options.outage, outageMs);
  const healthOf = (stackId: string) => {
    const stack = objectCache.get(stackId);
    return stack && stackHealthOf(stack, inspector.details, outage.reason);
  };
  return {
    objectSeen(stackId, key, object) {
      changed(stackId);
      const cached = cachedObject(stackId, key);
      if (cached && object && cached.verdict.health !== 'healthy' && hasDetail(cached.id))
        inspector.inspect(stackId, key, Number(object.metadata.generation ?? 0));
      else inspector.end(key);
    },
    healthOf,
    counts() {
      const counts: Partial<Record<Health, number>> = {};
      for (const stackId of objectCache.stackIds()) {
        const health = healthOf(stackId)?.health;
        if (health) counts[health] = (counts[health] ?? 0) + 1;
      }
      return counts;
    },
    async run(signal) {
      try {
        while (!signal.aborted) {
          if (outage.check()) for (const stackId of objectCache.stackIds()) changed(stackId);
          await sleep(1_000, signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        await inspector.close();
      }
    },
  };
}

/** Knows since when the cluster does not answer. */
function createOutage(current: () => string | undefined, outageMs: number) {
  let reason: string | undefined;
  let failingSince: number | undefined;
  return {
    /** The reason that the cluster does not answer, once that has lasted. */
    get reason() {
      return reason;
    },
    /** Returns whether an outage has begun or ended. */
    check(): boolean {
      const failure = current();
      failingSince = failure === undefined ? undefined : (failingSince ?? Date.now());
      const lasting = failingSince !== undefined && Date.now() - failingSince >= outageMs ? failure : undefined;
      const isChanged = (lasting === undefined) !== (reason === undefined);
      if (isChanged) reason = lasting;
      return isChanged;
    },
  };
}
