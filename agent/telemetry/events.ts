import type { Logger } from 'pino';
import { type Backoff, defaultBackoff, pause, retryMs } from '../concurrency/backoff.ts';
import { errorMessage, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { toEvent } from '../object/event.ts';
import { type KubeObject, textAt } from '../object/kube-object.ts';
import type { Outbox } from './outbox.ts';
import type { Owners } from './owners.ts';
import { createMeter, type Rate } from './rate-limiter.ts';

export interface EventWatchOptions {
  readonly cluster: Pick<Cluster, 'listVersioned' | 'watch'>;
  /** Only in this one; empty for all. */
  readonly namespace: string;
  readonly owners: Owners;
  readonly outbox: Outbox;
  /** Whom a gap is told to. */
  readonly stackIds: () => Iterable<string>;
  readonly log: Logger;
  readonly retry?: Backoff;
  readonly rate?: Rate;
  readonly roundMs?: number;
}

const kind = { apiVersion: 'v1', kind: 'Event' } as const;
const usualRate: Rate = { items: 100, bytes: 256 << 10 };
/** Without the right to watch events, it is asked for again after so long. */
const forbiddenMs = 5 * 60_000;
/**
 * Servers send no bookmarks for events, and remember for 5 minutes only: with rounds that are short beside that, the place to go on from
 * is never older, even where nothing happens.
 */
const usualRoundMs = 90_000;

/** Tells the events about what belongs to stacks, as they come, until the signal aborts. Of events of earlier on it asks for none. */
export async function watchEvents(options: EventWatchOptions, signal: AbortSignal): Promise<void> {
  const { outbox, stackIds, log, retry = defaultBackoff } = options;
  const meter = createMeter(options.rate ?? usualRate);
  let place: string | undefined;
  for (let failures = 0; !signal.aborted; ) {
    const beganAt = Date.now();
    try {
      const fresh = await newestVersion(options, signal);
      place ??= fresh;
      for await (const event of eventsFrom(options, place, signal)) {
        await tell(options, meter, event, signal);
        place = event.metadata.resourceVersion ?? place;
      }
      // The round was watched from before `fresh` to its end: what came meanwhile was told.
      place = later(place, fresh);
      failures = Date.now() - beganAt < 1_000 ? failures + 1 : 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      log.debug({ reason: errorMessage(error) }, 'the watch of events ended');
      if (hasStatus(error, 410)) {
        place = undefined;
        for (const stackId of stackIds()) outbox.lost(stackId, undefined, 'history_lost', 0);
      }
      if (hasStatus(error, 403)) {
        if (failures === 1)
          log.warn({ reason: errorMessage(error) }, 'Kubernetes events are not told: no right to watch them');
        await pause(forbiddenMs, signal);
      }
    }
    if (failures > 0) await pause(retryMs(retry, failures - 1), signal);
  }
}

async function tell(
  { owners, outbox }: EventWatchOptions,
  meter: ReturnType<typeof createMeter>,
  object: KubeObject,
  signal: AbortSignal,
) {
  const event = toEvent(object);
  const owned = await owners.find(event.object, textAt(object, 'involvedObject', 'uid') ?? '', signal);
  if (!owned) return;
  const { stackId } = owned;
  if (meter.admit(event.message.length)) outbox.add({ what: 'event', stackId, event });
  else outbox.lost(stackId, undefined, 'rate_limit', 1);
}

/** New and changed ones; a server that lets events expire says that they are deleted, which is no news. */
async function* eventsFrom(
  { cluster, namespace, roundMs = usualRoundMs }: EventWatchOptions,
  from: string,
  signal: AbortSignal,
) {
  const timeoutMs = roundMs * (0.8 + 0.2 * Math.random());
  const options = { namespace, labelSelector: '', resourceVersion: from, timeoutMs };
  for await (const event of cluster.watch(kind, options, signal)) if (event.type === 'changed') yield event.object;
}

/** The cluster's version now: that of a list, of which no more than one event is asked for. */
async function newestVersion({ cluster, namespace }: EventWatchOptions, signal: AbortSignal): Promise<string> {
  for await (const { resourceVersion } of cluster.listVersioned(
    kind,
    { namespace, limit: 1, metadataOnly: true },
    signal,
  ))
    return resourceVersion;
  return '';
}

function later(one: string, other: string): string {
  return other.length > one.length || (other.length === one.length && other > one) ? other : one;
}
