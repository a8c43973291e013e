import type { Logger } from 'pino';
import { type Backoff, jittered, sleep } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { explainHealth, hasDetail } from '../health/pod-diagnosis.ts';
import type { Health, StackHealth, Verdict } from '../health/status.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import type { KubeObject } from '../object/kube-object.ts';
import { stackHealthOf } from './aggregate.ts';
import type { ObjectCache } from './object-cache.ts';

export interface HealthKeeperOptions {
  readonly cluster: Cluster;
  readonly objectCache: Pick<ObjectCache, 'get' | 'stackIds'>;
  readonly log: Logger;
  /** Why the cluster does not answer; undefined while it does. */
  readonly outage: () => string | undefined;
  /** How a stack does may be another now. */
  readonly changed: (stackId: string) => void;
  /** Between looks at the pods of what is not healthy. */
  readonly look?: Backoff;
  /** An outage counts when it has lasted so long. */
  readonly outageMs?: number;
}

/** Knows how stacks do, and finds out why, when they do not do well. */
export interface HealthKeeper {
  /** An object of a stack was seen; undefined for one that is gone. */
  seen(stackId: string, key: string, object: KubeObject | undefined): void;
  /** As it is now; undefined for a stack of which nothing is known. */
  healthOf(stackId: string): StackHealth | undefined;
  /** How many stacks are in which health. */
  counts(): Partial<Record<Health, number>>;
  run(signal: AbortSignal): Promise<void>;
}

const defaultLook: Backoff = { baseMs: 2_000, maxMs: 15_000 };
const lookConcurrency = 4;
/** With many unhealthy objects, each is looked at less often. */
const lookShareMs = 250;
const gatherMs = 200;

interface Look {
  readonly stackId: string;
  timer?: NodeJS.Timeout | undefined;
  attempt: number;
  running: boolean;
  /** Seen again while its pods were being asked for. */
  again: boolean;
}

export function createHealthKeeper(options: HealthKeeperOptions): HealthKeeper {
  const { cluster, objectCache, log, look: backoff = defaultLook, outageMs = 5_000 } = options;
  const details = new Map<string, Verdict>();
  const looks = new Map<string, Look>();
  const limit = createSemaphore(lookConcurrency);
  const ending = new AbortController();
  let outage: string | undefined;
  let failingSince: number | undefined;

  const end = (key: string) => {
    clearTimeout(looks.get(key)?.timer);
    looks.delete(key);
    details.delete(key);
  };
  const lookLater = (key: string, look: Look, waitMs: number) => {
    if (ending.signal.aborted || look.timer) return;
    look.timer = setTimeout(() => {
      look.timer = undefined;
      void lookAt(key, look);
    }, waitMs);
    look.timer.unref();
  };
  const lookAt = async (key: string, look: Look) => {
    const sighting = objectCache.get(look.stackId)?.objects.get(key);
    if (!sighting) return end(key);
    look.running = true;
    look.again = false;
    try {
      const verdict = await limit.run(() => explainHealth(cluster, sighting.id, ending.signal), ending.signal);
      if (looks.get(key) !== look) return;
      const before = details.get(key);
      if (verdict) details.set(key, verdict);
      else details.delete(key);
      if (before?.health !== verdict?.health || before?.message !== verdict?.message) options.changed(look.stackId);
    } catch (error) {
      if (ending.signal.aborted) return;
      log.debug({ reason: errorMessage(error) }, 'the pods of an object could not be asked for');
    } finally {
      look.running = false;
    }
    if (looks.get(key) !== look) return;
    const waitMs = Math.max(backoff.baseMs / 2 + jittered(backoff, look.attempt++), looks.size * lookShareMs);
    lookLater(key, look, look.again ? gatherMs : waitMs);
  };
  const watchOutage = () => {
    const reason = options.outage();
    failingSince = reason === undefined ? undefined : (failingSince ?? Date.now());
    const now = failingSince !== undefined && Date.now() - failingSince >= outageMs ? reason : undefined;
    const isChanged = (now === undefined) !== (outage === undefined);
    if (now === undefined || isChanged) outage = now;
    if (isChanged) for (const stackId of objectCache.stackIds()) options.changed(stackId);
  };
  const healthNow = (stackId: string) => {
    const stack = objectCache.get(stackId);
    return stack && stackHealthOf(stack, details, outage);
  };

  return {
    seen(stackId, key, object) {
      options.changed(stackId);
      const sighting = objectCache.get(stackId)?.objects.get(key);
      if (!sighting || !object || sighting.verdict.health === 'healthy' || !hasDetail(sighting.id)) return end(key);
      const look = looks.get(key) ?? { stackId, attempt: 0, running: false, again: false };
      looks.set(key, look);
      look.attempt = 0;
      if (look.running) look.again = true;
      else {
        clearTimeout(look.timer);
        look.timer = undefined;
        lookLater(key, look, gatherMs);
      }
    },
    healthOf: healthNow,
    counts() {
      const counts: Partial<Record<Health, number>> = {};
      for (const stackId of objectCache.stackIds()) {
        const health = healthNow(stackId)?.health;
        if (health) counts[health] = (counts[health] ?? 0) + 1;
      }
      return counts;
    },
    async run(signal) {
      try {
        while (!signal.aborted) {
          watchOutage();
          await sleep(1_000, signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        ending.abort(new Error('the agent stops'));
        for (const key of [...looks.keys()]) end(key);
      }
    },
  };
}
