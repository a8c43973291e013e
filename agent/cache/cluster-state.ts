import type { Logger } from 'pino';
import type { Backoff } from '../concurrency/backoff.ts';
import type { Cluster } from '../kube/cluster.ts';
import { createInformers, type Informers } from '../kube/informer.ts';
import { createHealthKeeper, type HealthKeeper } from './health-monitor.ts';
import { createObjectCache, type ObjectCache } from './object-cache.ts';

export interface ClusterStateOptions {
  readonly cluster: Cluster;
  readonly watchNamespace: string | undefined;
  readonly log: Logger;
  /** Why the cluster does not answer; undefined while it does. */
  readonly outage: () => string | undefined;
  /** Something of a stack is not as its last pass left it. */
  readonly enqueue: (stackId: string) => void;
  /** How a stack does may be another now. */
  readonly healthChanged: (stackId: string) => void;
  /** An object was applied; so long it took. */
  readonly applied?: (seconds: number) => void;
  readonly retry?: Backoff;
}

/** What the agent knows of the cluster between passes: fed by passes, and by watches on the kinds that those applied. */
export interface ClusterState {
  readonly objectCache: ObjectCache;
  readonly keeper: HealthKeeper;
  readonly watches: Pick<Informers, 'counts'>;
  /** Until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Passes of many stacks begin together; which kinds they are about is asked once. */
const followMs = 50;
/** Many objects of a stack change together. */
const gatherMs = 100;

export function createClusterState(options: ClusterStateOptions): ClusterState {
  const { cluster, log, retry } = options;
  let following: NodeJS.Timeout | undefined;
  const changed = new Set<string>();
  let gathering: NodeJS.Timeout | undefined;
  let isOver = false;
  const objectCache = createObjectCache({
    enqueue: options.enqueue,
    seen: (stackId, key, object) => keeper.seen(stackId, key, object),
    kindsChanged: () => {
      following ??= setTimeout(() => {
        following = undefined;
        if (!isOver) watches.follow(objectCache.kinds());
      }, followMs);
    },
  });
  const watches = createInformers({
    cluster,
    namespace: options.watchNamespace ?? '',
    log,
    handler: objectCache,
    ...(retry && { retry }),
  });
  const keeper = createHealthKeeper({
    cluster,
    objectCache,
    log,
    outage: options.outage,
    changed(stackId) {
      changed.add(stackId);
      gathering ??= setTimeout(() => {
        gathering = undefined;
        const stackIds = [...changed];
        changed.clear();
        for (const one of stackIds) options.healthChanged(one);
      }, gatherMs);
    },
  });
  return {
    objectCache: {
      ...objectCache,
      get size() {
        return objectCache.size;
      },
      wrote(stackId, object, askedAt) {
        options.applied?.((performance.now() - askedAt) / 1000);
        objectCache.wrote(stackId, object, askedAt);
      },
    },
    keeper,
    watches,
    async run(signal) {
      try {
        await keeper.run(signal);
      } finally {
        isOver = true;
        clearTimeout(following);
        clearTimeout(gathering);
        objectCache.close();
        await watches.close();
      }
    },
  };
}
