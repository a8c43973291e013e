import type { Logger } from 'pino';
import { type Backoff, pause, retryMs } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { createInformers } from '../kube/informer.ts';
import { idOf, type KubeObject, keyOf } from '../object/kube-object.ts';
import { containersOf, type FollowTools, followContainer } from './follow-container.ts';
import type { Outbox } from './outbox.ts';
import type { Owners } from './owners.ts';
import { createMeter, type Rate } from './rate-limiter.ts';

/** Annotation of a pod: with `true`, what its containers write is told to the broker, if it belongs to a stack. */
const streamAnnotation = 'brokkr.io/stream-logs';

export interface PodLogLimits {
  /** Logs that are read at the same time. */
  readonly streams: number;
  /** Of one container, and of all together. */
  readonly rate: Rate;
  readonly total: Rate;
}

export interface PodLogOptions {
  readonly cluster: Cluster;
  readonly clusterFor: FollowTools['clusterFor'];
  /** Only in this one; empty for all. */
  readonly namespace: string;
  readonly owners: Owners;
  readonly outbox: Outbox;
  readonly log: Logger;
  readonly retry?: Backoff;
  readonly limits?: Partial<PodLogLimits>;
}

export interface PodLogs {
  /** Logs that are read now. */
  readonly streams: number;
  /** Until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

const usualLimits: PodLogLimits = {
  streams: 50,
  rate: { items: 200, bytes: 128 << 10 },
  total: { items: 800, bytes: 512 << 10 },
};
const defaultRetry: Backoff = { baseMs: 1_000, maxMs: 30_000 };
/** An owner that is no stack's may be one later. */
const strayMs = 60_000;
/** What a container wrote last is still read after its pod is gone. */
const lastWordsMs = 5_000;
const pods = { apiVersion: 'v1', kind: 'Pod' } as const;

interface Followed {
  readonly uid: string;
  readonly end: AbortController;
  news: PromiseWithResolvers<void>;
}

/** Follows the logs of all pods that ask for it and belong to a stack. Of other pods nothing is kept, nor asked but their metadata. */
export function createPodLogs(options: PodLogOptions): PodLogs {
  const { cluster, owners, outbox, log, retry = defaultRetry } = options;
  const limits = { ...usualLimits, ...options.limits };
  const followed = new Map<string, Followed>();
  const running = new Set<Promise<void>>();
  const room = createSemaphore(limits.streams);
  const startedAt = Date.now();
  let streams = 0;
  let during: AbortSignal | undefined;
  const tools: FollowTools = {
    clusterFor: options.clusterFor,
    outbox,
    rate: limits.rate,
    total: createMeter(limits.total),
    retry,
    debug: (reason) => log.debug({ reason }, 'a log cannot be followed'),
    async slot(read, isFull, signal) {
      if (streams >= limits.streams) isFull();
      return room.run(() => {
        streams += 1;
        return read().finally(() => {
          streams -= 1;
        });
      }, signal);
    },
  };

  const follow = async (pod: KubeObject, state: Followed, signal: AbortSignal) => {
    const id = idOf(pod);
    const isOld = Date.parse(String(pod.metadata.creationTimestamp)) < startedAt - 1_000;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const owned = await owners.find(id, state.uid, signal);
        if (!owned) {
          await pause(strayMs, signal, state.news.promise);
          continue;
        }
        const live = await options.clusterFor(owned.stackId).get(id, signal);
        if (!live || live.metadata.uid !== state.uid) return;
        const changed = () => state.news.promise;
        await Promise.all(
          containersOf(live).map((container) =>
            followContainer({ pod: id, uid: state.uid, container, owned, isOld, changed }, tools, signal),
          ),
        );
        if (owned.holds()) return;
      } catch (error) {
        if (signal.aborted) return;
        tools.debug(errorMessage(error));
        await pause(retryMs(retry, failures++), signal);
      }
    }
  };
  const begin = (pod: KubeObject) => {
    const key = keyOf(idOf(pod));
    const uid = pod.metadata.uid ?? '';
    const known = followed.get(key);
    if (known?.uid === uid) {
      known.news.resolve();
      known.news = Promise.withResolvers();
      return;
    }
    if (known) end(key);
    if (!during || during.aborted) return;
    const state: Followed = { uid, end: new AbortController(), news: Promise.withResolvers() };
    followed.set(key, state);
    const done = follow(pod, state, AbortSignal.any([during, state.end.signal])).finally(() => running.delete(done));
    running.add(done);
  };
  const end = (key: string, graceMs = 0) => {
    const state = followed.get(key);
    if (!state) return;
    followed.delete(key);
    state.news.resolve();
    setTimeout(() => state.end.abort(new Error('the pod is gone')), graceMs).unref();
  };
  const seen = (pod: KubeObject) => {
    const asks = pod.metadata.annotations?.[streamAnnotation] === 'true';
    if (asks) begin(pod);
    else end(keyOf(idOf(pod)));
  };
  return {
    get streams() {
      return streams;
    },
    async run(signal) {
      during = signal;
      const watches = createInformers({
        cluster,
        namespace: options.namespace,
        labelSelector: '',
        metadataOnly: true,
        log,
        retry,
        handler: {
          onChange: seen,
          onDelete: (pod) => end(keyOf(idOf(pod)), lastWordsMs),
          onList(_, keys) {
            for (const key of followed.keys()) if (!keys.has(key)) end(key, lastWordsMs);
          },
        },
      });
      watches.follow([pods]);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await watches.close();
      await Promise.all(running);
    },
  };
}
