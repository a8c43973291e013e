import type { Logger } from 'pino';
import type { Backoff } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import type { Cluster } from '../kube/cluster.ts';
import { createInformers, type WatchHandler } from '../kube/informer.ts';
import { idOf, keyOf } from '../object/kube-object.ts';
import type { FollowContext } from './follow-container.ts';
import type { Outbox } from './outbox.ts';
import { createPodFollowers, type PodFollowers } from './pod-followers.ts';
import { createRateLimiter, type Rate } from './rate-limiter.ts';
import type { StackFinder } from './stack-finder.ts';

/** Annotation that, as `true`, makes the agent send the logs of a stack's pod to the broker. */
const streamAnnotation = 'brokkr.io/stream-logs';

export interface PodLogLimits {
  /** Maximum number of logs that are read at the same time. */
  readonly streams: number;
  /** Rate of one container. */
  readonly rate: Rate;
  /** Rate of all containers together. */
  readonly totalRate: Rate;
}

export interface PodLogOptions {
  readonly cluster: Cluster;
  readonly clusterFor: FollowContext['clusterFor'];
  /** Namespace to watch; empty for all. */
  readonly namespace: string;
  readonly stackFinder: StackFinder;
  readonly outbox: Outbox;
  readonly log: Logger;
  readonly retry?: Backoff;
  readonly limits?: Partial<PodLogLimits>;
}

export interface PodLogs {
  /** Number of logs that are being read. */
  readonly streams: number;
  /** Watches pods and follows their logs until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

const defaultLimits: PodLogLimits = {
  streams: 50,
  rate: { items: 200, bytes: 128 << 10 },
  totalRate: { items: 800, bytes: 512 << 10 },
};
const defaultRetry: Backoff = { baseMs: 1_000, maxMs: 30_000 };
/** Milliseconds for which the log of a deleted pod is still read, for what it wrote last. */
const deletedPodMs = 5_000;
const podKind = { apiVersion: 'v1', kind: 'Pod' } as const;

/** Creates the followers of all pods that have the annotation and belong to a stack. Of other pods only the metadata is read. */
export function createPodLogs(options: PodLogOptions): PodLogs {
  const { cluster, namespace, stackFinder, outbox, log, retry = defaultRetry } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const streamLimit = createSemaphore(limits.streams);
  const startedAt = Date.now();
  let streams = 0;
  const context: FollowContext = {
    clusterFor: options.clusterFor,
    outbox,
    rate: limits.rate,
    totalLimiter: createRateLimiter(limits.totalRate),
    retry,
    logDebug: (reason) => log.debug({ reason }, 'a log cannot be followed'),
    async withStream(read, onFull, signal) {
      if (streams >= limits.streams) onFull();
      return streamLimit.run(() => {
        streams += 1;
        return read().finally(() => {
          streams -= 1;
        });
      }, signal);
    },
  };
  return {
    get streams() {
      return streams;
    },
    async run(signal) {
      const followers = createPodFollowers(stackFinder, context, startedAt, signal);
      const handler = handlerFor(followers);
      const informers = createInformers({
        cluster,
        namespace,
        labelSelector: '',
        metadataOnly: true,
        log,
        retry,
        handler,
      });
      informers.follow([podKind]);
      await aborted(signal);
      await informers.close();
      await followers.settled();
    },
  };
}

/** Follows the pods that have the annotation, and ends the followers of all others. */
function handlerFor(followers: PodFollowers): WatchHandler {
  return {
    onChange(pod) {
      if (pod.metadata.annotations?.[streamAnnotation] === 'true') followers.follow(pod);
      else followers.unfollow(keyOf(idOf(pod)));
    },
    onDelete: (pod) => followers.unfollow(keyOf(idOf(pod)), deletedPodMs),
    onList: (_, keys) => followers.retain(keys, deletedPodMs),
  };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
