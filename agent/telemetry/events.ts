import type { Logger } from 'pino';
import { type Backoff, defaultBackoff, pause, retryMs } from '../concurrency/backoff.ts';
import { errorMessage, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { toEvent } from '../object/event.ts';
import { type KubeObject, textAt } from '../object/kube-object.ts';
import type { Outbox } from './outbox.ts';
import { createRateLimiter, type Rate, type RateLimiter } from './rate-limiter.ts';
import type { StackFinder } from './stack-finder.ts';

export interface EventWatchOptions {
  readonly cluster: Pick<Cluster, 'listVersioned' | 'watch'>;
  /** Namespace to watch; empty for all. */
  readonly namespace: string;
  readonly stackFinder: StackFinder;
  readonly outbox: Outbox;
  /** Returns the stacks that get a gap when events were missed. */
  readonly stackIds: () => Iterable<string>;
  readonly log: Logger;
  readonly retry?: Backoff;
  readonly rate?: Rate;
  /** Milliseconds, about, after which a watch ends and continues where it was. */
  readonly maxWatchMs?: number;
}

const eventKind = { apiVersion: 'v1', kind: 'Event' } as const;
const defaultRate: Rate = { items: 100, bytes: 256 << 10 };
/** Milliseconds between two attempts without the right to watch events. */
const forbiddenMs = 5 * 60_000;
/**
 * Servers send no bookmarks for events and remember them for only 5 minutes. Watches that are short in comparison keep the version
 * to continue from recent enough, even where nothing happens.
 */
const defaultMaxWatchMs = 90_000;

/** Watches the events about objects of stacks until the signal aborts. Events from before the start are left out. Never rejects. */
export async function watchEvents(options: EventWatchOptions, signal: AbortSignal): Promise<void> {
  const { outbox, stackIds, log, retry = defaultBackoff } = options;
  const limiter = createRateLimiter(options.rate ?? defaultRate);
  let version: string | undefined;
  for (let failures = 0; !signal.aborted; ) {
    const startedAt = Date.now();
    try {
      const currentVersion = await readCurrentVersion(options, signal);
      version ??= currentVersion;
      for await (const event of eventsSince(options, version, signal)) {
        await addEvent(options, limiter, event, signal);
        version = event.metadata.resourceVersion ?? version;
      }
      // The watch has covered everything up to `currentVersion`, which was read before it began.
      version = laterVersion(version, currentVersion);
      failures = Date.now() - startedAt < 1_000 ? failures + 1 : 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      log.debug({ reason: errorMessage(error) }, 'the watch of events ended');
      if (hasStatus(error, 410)) {
        version = undefined;
        for (const stackId of stackIds()) outbox.addGap(stackId, undefined, 'history_lost', 0);
      }
      if (hasStatus(error, 403)) {
        if (failures === 1)
          log.warn({ reason: errorMessage(error) }, 'Kubernetes events are not reported: no right to watch them');
        await pause(forbiddenMs, signal);
      }
    }
    if (failures > 0) await pause(retryMs(retry, failures - 1), signal);
  }
}

/** Adds an event to the outbox if its object belongs to a stack. */
async function addEvent(
  { stackFinder, outbox }: EventWatchOptions,
  limiter: RateLimiter,
  object: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  const event = toEvent(object);
  const uid = textAt(object, 'involvedObject', 'uid') ?? '';
  const membership = await stackFinder.find(event.object, uid, signal);
  if (!membership) return;
  const { stackId } = membership;
  if (limiter.admit(event.message.length)) outbox.add({ type: 'event', stackId, event });
  else outbox.addGap(stackId, undefined, 'rate_limit', 1);
}

/** Yields new and updated events. Deletions only mean that the server lets events expire. */
async function* eventsSince(
  { cluster, namespace, maxWatchMs = defaultMaxWatchMs }: EventWatchOptions,
  version: string,
  signal: AbortSignal,
) {
  const timeoutMs = maxWatchMs * (0.8 + 0.2 * Math.random());
  const options = { namespace, labelSelector: '', resourceVersion: version, timeoutMs };
  for await (const event of cluster.watch(eventKind, options, signal)) if (event.type === 'changed') yield event.object;
}

/** Reads the cluster's current version from a list of at most one event. */
async function readCurrentVersion({ cluster, namespace }: EventWatchOptions, signal: AbortSignal): Promise<string> {
  const options = { namespace, limit: 1, metadataOnly: true };
  for await (const { resourceVersion } of cluster.listVersioned(eventKind, options, signal)) return resourceVersion;
  return '';
}

/** Returns the later of two versions, which are decimal numbers of any length. */
function laterVersion(left: string, right: string): string {
  return right.length > left.length || (right.length === left.length && right > left) ? right : left;
}
