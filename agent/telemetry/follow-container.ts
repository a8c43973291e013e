import { type Backoff, pause, retryMs } from '../concurrency/backoff.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster, FollowOptions } from '../kube/cluster.ts';
import { at, type KubeObject, listAt, type ObjectId, textAt } from '../object/kube-object.ts';
import type { LogSource } from './item.ts';
import { createPlace, parseLine } from './log-line.ts';
import type { Outbox } from './outbox.ts';
import type { Owned } from './owners.ts';
import { createMeter, type Meter, type Rate } from './rate-limiter.ts';

export interface FollowedContainer {
  readonly pod: ObjectId;
  readonly uid: string;
  readonly container: string;
  readonly owned: Owned;
  /** Whether what was written before is not wanted. */
  readonly isOld: boolean;
  /** Settles when the pod has changed. */
  readonly changed: () => Promise<void>;
}

export interface FollowTools {
  /** With whose rights the stack's pods are looked at. */
  readonly clusterFor: (stackId: string) => Pick<Cluster, 'get' | 'followLog'>;
  readonly outbox: Outbox;
  /** Of this container, and of all together. */
  readonly rate: Rate;
  readonly total: Meter;
  /** Carries out the reading of one log, as soon as there is room for one more. */
  readonly slot: <Result>(read: () => Promise<Result>, isFull: () => void, signal: AbortSignal) => Promise<Result>;
  readonly retry: Backoff;
  readonly debug: (reason: string) => void;
}

/** Characters of a line, with its time. */
const longestLine = 8_000;
/** Between looks at a container that does not run. */
const idleMs = 60_000;
/** A container that writes so many times what may be told is not read to the end: the rest of it is skipped. */
const skipFactor = 4;
const skipMs = 1_000;

/** Tells what a container writes, from one start of it to the next, until its pod is gone, its stack's no longer, or the signal aborts. */
export async function followContainer(
  { pod, uid, container, owned, isOld, changed }: FollowedContainer,
  tools: FollowTools,
  signal: AbortSignal,
): Promise<void> {
  const { outbox, retry } = tools;
  const { stackId } = owned;
  const source: LogSource = { namespace: pod.namespace, pod: pod.name, container };
  const place = createPlace();
  const meter = createMeter(tools.rate);
  let from: FollowOptions['from'] = isOld ? 'now' : 'beginning';
  /** The start of the container whose log was read to its end. */
  let finished: string | undefined;
  if (isOld) outbox.lost(stackId, source, 'not_followed', 0);

  const read = async (): Promise<'ended' | 'skip'> => {
    place.restart();
    const begin = place.from ?? from;
    // Should this stream break before it has brought a line, the next one has to go on from here.
    if (begin === 'now') from = new Date();
    for await (const { text, isTruncated } of tools
      .clusterFor(stackId)
      .followLog(pod, { container, from: begin, maxLength: longestLine }, signal)) {
      if (!owned.holds()) return 'ended';
      const line = parseLine(text);
      const isAdmitted = meter.admit(text.length);
      if (!place.isNew(line)) continue;
      if (isAdmitted && tools.total.admit(text.length)) {
        const time = line.at === undefined ? undefined : new Date(Number(line.at / 1_000_000n));
        outbox.add({ what: 'line', stackId, source, at: time, text: line.text, isCut: isTruncated });
      } else outbox.lost(stackId, source, 'rate_limit', 1);
      if (meter.offered > tools.rate.bytes * skipFactor) return 'skip';
    }
    return 'ended';
  };

  for (let failures = 0; !signal.aborted && owned.holds(); ) {
    const wake = changed();
    try {
      const live = await tools.clusterFor(stackId).get(pod, signal);
      if (!live || live.metadata.uid !== uid) return;
      const run = runOf(live, container);
      if (!run || (!run.isRunning && run.start === finished)) {
        await pause(idleMs, signal, wake);
        continue;
      }
      if (finished !== undefined && run.start !== finished) from = 'beginning';
      const full = () => outbox.lost(stackId, source, 'stream_limit', 0);
      const outcome = await tools.slot(read, full, signal);
      failures = 0;
      if (outcome === 'skip') {
        from = 'now';
        place.forget();
        await pause(skipMs, signal);
      } else {
        finished = run.start;
        await pause(retry.baseMs, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      tools.debug(errorMessage(error));
      await pause(retryMs(retry, failures++), signal, wake);
    }
  }
}

/** What is known of a container's latest start; undefined while it has not started once. */
function runOf(pod: KubeObject, container: string): { start: string; isRunning: boolean } | undefined {
  const status = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses']
    .flatMap((field) => listAt(pod, 'status', field))
    .find((one) => textAt(one, 'name') === container);
  const isRunning = at(status, 'state', 'running') !== undefined;
  const restarts = Number(at(status, 'restartCount') ?? 0);
  const hasRun = isRunning || at(status, 'state', 'terminated') !== undefined || restarts > 0;
  return hasRun ? { start: `${textAt(status, 'containerID') ?? ''}/${restarts}`, isRunning } : undefined;
}

/** Every container that a pod says it has. */
export function containersOf(pod: KubeObject): string[] {
  return ['initContainers', 'containers', 'ephemeralContainers'].flatMap((field) =>
    listAt(pod, 'spec', field).flatMap((container) => textAt(container, 'name') ?? []),
  );
}
