import type { Logger } from 'pino';
import { type Backoff, pause, retryMs } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { createInformers } from '../kube/informer.ts';
import { idOf, type KubeObject, keyOf } from '../object/kube-object.ts';
import { containersOf, type FollowContext, followContainer } from './follow-container.ts';
import type { Outbox } from './outbox.ts';
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
/** Milliseconds until a pod of no stack is checked again, because a stack may adopt its owner. */
const strayMs = 60_000;
/** Milliseconds for which the log of a deleted pod is still read, for what it wrote last. */
const deletedPodMs = 5_000;
const podKind = { apiVersion: 'v1', kind: 'Pod' } as const;

interface FollowedPod {
  readonly uid: string;
  readonly end: AbortController;
  /** Resolves when the pod changes, and is replaced then. */
  change: PromiseWithResolvers<void>;
}

/** Creates the followers of all pods that have the annotation and belong to a stack. Of other pods only the metadata is read. */
export function createPodLogs(options: PodLogOptions): PodLogs {
  const { cluster, stackFinder, outbox, log, retry = defaultRetry } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const followed = new Map<string, FollowedPod>();
  const running = new Set<Promise<void>>();
  const streamLimit = createSemaphore(limits.streams);
  const startedAt = Date.now();
  let streams = 0;
  let during: AbortSignal | undefined;
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

  const follow = async (pod: KubeObject, followedPod: FollowedPod, signal: AbortSignal) => {
    const id = idOf(pod);
    const skipsHistory = Date.parse(String(pod.metadata.creationTimestamp)) < startedAt - 1_000;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const membership = await stackFinder.find(id, followedPod.uid, signal);
        if (!membership) {
          await pause(strayMs, signal, followedPod.change.promise);
          continue;
        }
        const live = await options.clusterFor(membership.stackId).get(id, signal);
        if (!live || live.metadata.uid !== followedPod.uid) return;
        const podChanged = () => followedPod.change.promise;
        await Promise.all(
          containersOf(live).map((container) =>
            followContainer(
              { pod: id, uid: followedPod.uid, container, membership, skipsHistory, podChanged },
              context,
              signal,
            ),
          ),
        );
        if (membership.isCurrent()) return;
      } catch (error) {
        if (signal.aborted) return;
        context.logDebug(errorMessage(error));
        await pause(retryMs(retry, failures++), signal);
      }
    }
  };
  const begin = (pod: KubeObject) => {
    const key = keyOf(idOf(pod));
    const uid = pod.metadata.uid ?? '';
    const known = followed.get(key);
    if (known?.uid === uid) {
      known.change.resolve();
      known.change = Promise.withResolvers();
      return;
    }
    if (known) end(key);
    if (!during || during.aborted) return;
    const followedPod: FollowedPod = { uid, end: new AbortController(), change: Promise.withResolvers() };
    followed.set(key, followedPod);
    const done = follow(pod, followedPod, AbortSignal.any([during, followedPod.end.signal])).finally(() =>
      running.delete(done),
    );
    running.add(done);
  };
  const end = (key: string, graceMs = 0) => {
    const followedPod = followed.get(key);
    if (!followedPod) return;
    followed.delete(key);
    followedPod.change.resolve();
    setTimeout(() => followedPod.end.abort(new Error('the pod is gone')), graceMs).unref();
  };
  const podSeen = (pod: KubeObject) => {
    const isRequested = pod.metadata.annotations?.[streamAnnotation] === 'true';
    if (isRequested) begin(pod);
    else end(keyOf(idOf(pod)));
  };
  return {
    get streams() {
      return streams;
    },
    async run(signal) {
      during = signal;
      const informers = createInformers({
        cluster,
        namespace: options.namespace,
        labelSelector: '',
        metadataOnly: true,
        log,
        retry,
        handler: {
          onChange: podSeen,
          onDelete: (pod) => end(keyOf(idOf(pod)), deletedPodMs),
          onList(_, keys) {
            for (const key of followed.keys()) if (!keys.has(key)) end(key, deletedPodMs);
          },
        },
      });
      informers.follow([podKind]);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await informers.close();
      await Promise.all(running);
    },
  };
}
