import { type Backoff, pause, retryMs } from '../concurrency/backoff.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster, FollowOptions } from '../kube/cluster.ts';
import { at, type KubeObject, listAt, type ObjectId, textAt } from '../object/kube-object.ts';
import type { LogSource } from './item.ts';
import { createLogPosition, parseLine } from './log-line.ts';
import type { Outbox } from './outbox.ts';
import { createRateLimiter, type Rate, type RateLimiter } from './rate-limiter.ts';
import type { StackMembership } from './stack-finder.ts';

export interface FollowedContainer {
  readonly pod: ObjectId;
  readonly uid: string;
  readonly container: string;
  readonly membership: StackMembership;
  /** True to skip what the container wrote before. */
  readonly skipsHistory: boolean;
  /** Returns a promise that settles when the pod has changed. */
  readonly podChanged: () => Promise<void>;
}

/** The parts that the followers of all containers share. */
export interface FollowContext {
  /** Returns the cluster with the rights that apply to a stack's pods. */
  readonly clusterFor: (stackId: string) => Pick<Cluster, 'get' | 'followLog'>;
  readonly outbox: Outbox;
  /** Rate of one container. */
  readonly rate: Rate;
  /** Limits all containers together. */
  readonly totalLimiter: RateLimiter;
  /** Reads a log when fewer than the maximum number of streams are open; calls `onFull` first when it has to wait for that. */
  readonly withStream: <Result>(
    read: () => Promise<Result>,
    onFull: () => void,
    signal: AbortSignal,
  ) => Promise<Result>;
  readonly retry: Backoff;
  readonly logDebug: (reason: string) => void;
}

/** Maximum number of characters of a line, including its timestamp. */
const maxLineLength = 8_000;
/** Milliseconds between two checks of a container that does not run. */
const idleMs = 60_000;
/** When a container writes this many times its rate, the rest of its log is skipped instead of read. */
const skipFactor = 4;
const skipMs = 1_000;

/** Follows a container's log over restarts, until its pod is gone or no longer the stack's, or the signal aborts. Never rejects. */
export async function followContainer(
  followed: FollowedContainer,
  context: FollowContext,
  signal: AbortSignal,
): Promise<void> {
  const { pod, uid, container, membership, skipsHistory, podChanged } = followed;
  const { outbox, retry } = context;
  const { stackId } = membership;
  const source: LogSource = { namespace: pod.namespace, pod: pod.name, container };
  const reader = createLogReader(followed, source, context, signal);
  /** The run whose log was read to its end. */
  let finishedRun: string | undefined;
  if (skipsHistory) outbox.addGap(stackId, source, 'not_followed', 0);
  for (let failures = 0; !signal.aborted && membership.isCurrent(); ) {
    const changed = podChanged();
    try {
      const live = await context.clusterFor(stackId).get(pod, signal);
      if (!live || live.metadata.uid !== uid) return;
      const run = latestRunOf(live, container);
      if (!run || (!run.isRunning && run.id === finishedRun)) {
        await pause(idleMs, signal, changed);
        continue;
      }
      if (finishedRun !== undefined && run.id !== finishedRun) reader.startFrom('beginning');
      const onFull = () => outbox.addGap(stackId, source, 'stream_limit', 0);
      const outcome = await context.withStream(reader.read, onFull, signal);
      failures = 0;
      if (outcome === 'skip') {
        reader.skip();
        await pause(skipMs, signal);
      } else {
        finishedRun = run.id;
        await pause(retry.baseMs, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      context.logDebug(errorMessage(error));
      await pause(retryMs(retry, failures++), signal, changed);
    }
  }
}

interface LogReader {
  /** Reads the log until it ends, or until the container exceeds its rate so far that the rest is to be skipped. */
  read(): Promise<'ended' | 'skip'>;
  /** Sets where the next read begins, unless lines of this run were read already. */
  startFrom(from: FollowOptions['from']): void;
  /** Makes the next read begin with what is written from now on. */
  skip(): void;
}

function createLogReader(
  { pod, container, membership, skipsHistory }: FollowedContainer,
  source: LogSource,
  context: FollowContext,
  signal: AbortSignal,
): LogReader {
  const { outbox, totalLimiter, rate } = context;
  const { stackId } = membership;
  const position = createLogPosition();
  const limiter = createRateLimiter(rate);
  let from: FollowOptions['from'] = skipsHistory ? 'now' : 'beginning';
  return {
    async read() {
      position.restart();
      const begin = position.from ?? from;
      // If this stream breaks before it brings a line, the next one has to begin here.
      if (begin === 'now') from = new Date();
      const options = { container, from: begin, maxLength: maxLineLength };
      for await (const { text, isTruncated } of context.clusterFor(stackId).followLog(pod, options, signal)) {
        if (!membership.isCurrent()) return 'ended';
        const line = parseLine(text);
        const isAdmitted = limiter.admit(text.length);
        if (!position.isNew(line)) continue;
        if (isAdmitted && totalLimiter.admit(text.length)) {
          const time = line.at === undefined ? undefined : new Date(Number(line.at / 1_000_000n));
          outbox.add({ type: 'line', stackId, source, at: time, text: line.text, isTruncated });
        } else outbox.addGap(stackId, source, 'rate_limit', 1);
        if (limiter.offered > rate.bytes * skipFactor) return 'skip';
      }
      return 'ended';
    },
    startFrom(begin) {
      from = begin;
    },
    skip() {
      from = 'now';
      position.forget();
    },
  };
}

/** Returns the latest run of a container; undefined while it has not started once. */
function latestRunOf(pod: KubeObject, container: string): { id: string; isRunning: boolean } | undefined {
  const status = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses']
    .flatMap((field) => listAt(pod, 'status', field))
    .find((candidate) => textAt(candidate, 'name') === container);
  const isRunning = at(status, 'state', 'running') !== undefined;
  const restarts = Number(at(status, 'restartCount') ?? 0);
  const hasRun = isRunning || at(status, 'state', 'terminated') !== undefined || restarts > 0;
  return hasRun ? { id: `${textAt(status, 'containerID') ?? ''}/${restarts}`, isRunning } : undefined;
}

/** Returns the names of all containers in a pod's spec. */
export function containersOf(pod: KubeObject): string[] {
  return ['initContainers', 'containers', 'ephemeralContainers'].flatMap((field) =>
    listAt(pod, 'spec', field).flatMap((container) => textAt(container, 'name') ?? []),
  );
}
