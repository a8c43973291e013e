import type { Logger } from 'pino';
import type { Backoff } from '../concurrency/backoff.ts';
import { createBatch } from '../concurrency/batch.ts';
import type { Cluster } from '../kube/cluster.ts';
import { createInformers, type Informers } from '../kube/informer.ts';
import type { KindId } from '../object/kube-object.ts';
import { createHealthMonitor, type HealthMonitor } from './health-monitor.ts';
import { createObjectCache, type ObjectCache } from './object-cache.ts';

export interface ClusterStateOptions {
  readonly cluster: Cluster;
  readonly watchNamespace: string | undefined;
  readonly log: Logger;
  /** Returns why the cluster does not answer; undefined while it does. */
  readonly outage: () => string | undefined;
  /** Called when objects of a stack are not as its last pass left them. */
  readonly objectsChanged: (stackId: string) => void;
  /** Called when the health of a stack may have changed. */
  readonly healthChanged: (stackId: string) => void;
  /** Called when an object was applied, with the duration. */
  readonly applied?: (seconds: number) => void;
  readonly retry?: Backoff;
}

/** The agent's knowledge of the cluster between passes, fed by passes and by watches on the kinds that they applied. */
export interface ClusterState {
  readonly objectCache: ObjectCache;
  readonly healthMonitor: HealthMonitor;
  readonly watches: Pick<Informers, 'counts'>;
  /** Resolves once these kinds, of which a pass has read objects, are watched as far as they can be. */
  untilWatched(kinds: Iterable<KindId>): Promise<void>;
  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Milliseconds in which the kinds of several passes gather before they are watched. */
const followMs = 50;
/** Milliseconds in which the changes of a stack's objects gather before its health is read. */
const gatherMs = 100;

export function createClusterState(options: ClusterStateOptions): ClusterState {
  const { cluster, log, retry } = options;
  const kinds = createBatch(followMs, () => watches.follow(objectCache.kinds()));
  const healthChanges = createBatch(gatherMs, (stackIds) => stackIds.forEach(options.healthChanged));
  const objectCache = withTimes(
    createObjectCache({
      objectsChanged: options.objectsChanged,
      objectSeen: (stackId, key, object) => healthMonitor.objectSeen(stackId, key, object),
      passSeen: (stackId) => healthChanges.add(stackId),
      kindsChanged: () => kinds.add('changed'),
    }),
    options.applied,
  );
  const watches = createInformers({
    cluster,
    namespace: options.watchNamespace ?? '',
    log,
    handler: objectCache,
    ...(retry && { retry }),
  });
  const healthMonitor = createHealthMonitor({
    cluster,
    objectCache,
    log,
    outage: options.outage,
    changed: healthChanges.add,
  });
  return {
    objectCache,
    healthMonitor,
    watches,
    async untilWatched(wanted) {
      watches.follow(objectCache.kinds());
      await Promise.all([...wanted].map(watches.untilWatched));
    },
    async run(signal) {
      try {
        await healthMonitor.run(signal);
      } finally {
        kinds.close();
        healthChanges.close();
        objectCache.close();
        await watches.close();
      }
    },
  };
}

/** Returns the same cache, and passes on how long each apply took. */
function withTimes(objectCache: ObjectCache, applied?: (seconds: number) => void): ObjectCache {
  return {
    ...objectCache,
    get size() {
      return objectCache.size;
    },
    wrote(stackId, object, askedAt) {
      applied?.((performance.now() - askedAt) / 1000);
      objectCache.wrote(stackId, object, askedAt);
    },
  };
}
