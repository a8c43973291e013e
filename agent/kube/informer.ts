import type { Logger } from 'pino';
import { type Backoff, pause, retryMs, usualRetry } from '../concurrency/backoff.ts';
import { groupKindOf, idOf, type KindId, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import { errorMessage, hasStatus } from './api-error.ts';
import type { Cluster } from './client.ts';

export interface WatchesOptions {
  readonly cluster: Pick<Cluster, 'versioned' | 'watch' | 'discovery'>;
  /** Only in this one; empty for all. */
  readonly namespace: string;
  /** Default: what carries a stack's label. */
  readonly labelSelector?: string;
  /** Ask for metadata only, whatever the kind. */
  readonly partial?: boolean;
  readonly log: Logger;
  readonly tell: WatchTold;
  readonly retry?: Backoff;
  /** Watches end after about so long, and go on where they were. */
  readonly roundMs?: number;
  /** How often a kind that may be listed but not watched is listed. */
  readonly pollMs?: number;
}

/** What watches tell, in the order in which it happened for each object. */
export interface WatchTold {
  /** An object that is selected, as it is now. */
  changed(object: KubeObject): void;
  /** Deleted, or no longer selected. */
  gone(object: KubeObject): void;
  /** These are all that there are of a kind. */
  listed(kind: KindId, keys: ReadonlySet<string>): void;
}

export interface Watches {
  /** From now on these kinds are watched, and no others. */
  follow(kinds: Iterable<KindId>): void;
  readonly counts: { readonly up: number; readonly down: number };
  /** Ends all of them. */
  close(): Promise<void>;
}

/** Kinds beyond are looked at by passes only. */
const maxKinds = 200;
/** Nothing of these but their metadata matters: their content, which may be secret or large, is not asked for. */
const partialKinds: ReadonlySet<string> = new Set(['/ConfigMap', '/Secret']);

interface Watch {
  readonly end: AbortController;
  readonly done: Promise<void>;
  up: boolean;
}

/**
 * Watches what is selected, a watch a kind: lists once, then goes on from the version of the list, over lost connections as
 * well, and lists again only when the server no longer knows that version. Keeps no objects.
 */
export function createWatches(options: WatchesOptions): Watches {
  const watches = new Map<string, Watch>();
  return {
    follow(kinds) {
      const wanted = new Map([...kinds].map((kind) => [groupKindOf(kind), kind]));
      for (const [name, watch] of watches) {
        if (wanted.has(name)) continue;
        watch.end.abort(new Error('nothing of this kind is left to watch'));
        watches.delete(name);
      }
      for (const [name, kind] of wanted) {
        if (watches.has(name) || watches.size >= maxKinds) continue;
        const end = new AbortController();
        const setUp = (up: boolean) => {
          watch.up = up;
        };
        const watch: Watch = { end, up: false, done: keepWatching(options, kind, setUp, end.signal) };
        watches.set(name, watch);
      }
    },
    get counts() {
      const up = [...watches.values()].filter((watch) => watch.up).length;
      return { up, down: watches.size - up };
    },
    async close() {
      const all = [...watches.values()];
      watches.clear();
      for (const { end } of all) end.abort(new Error('the agent stops'));
      await Promise.all(all.map(({ done }) => done));
    },
  };
}

/** Never rejects; ends with the signal. */
async function keepWatching(
  options: WatchesOptions,
  kind: KindId,
  setUp: (up: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, log, retry = usualRetry, pollMs = 60_000 } = options;
  const place: Place = { version: undefined };
  // Before the first await of the loop, its caller has to know the watch.
  await Promise.resolve();
  for (let failures = 0; !signal.aborted; ) {
    const beganAt = Date.now();
    let waitMs = 0;
    try {
      place.version ??= await listAll(options, kind, signal);
      setUp(true);
      await watchOnce(options, kind, place, signal);
      // A server that ends watches as soon as they begin is not to be asked all the time.
      failures = Date.now() - beganAt < 1_000 ? failures + 1 : 0;
    } catch (error) {
      if (signal.aborted) break;
      failures = Date.now() - beganAt > retry.maxMs ? 1 : failures + 1;
      const isForbidden = hasStatus(error, 403) || hasStatus(error, 405);
      if (hasStatus(error, 410) || hasStatus(error, 404) || isForbidden) place.version = undefined;
      if (hasStatus(error, 404)) cluster.discovery.forget(kind.apiVersion);
      if (isForbidden) waitMs = pollMs;
      log[failures === 3 || (isForbidden && failures === 1) ? 'warn' : 'debug'](
        { kind: kind.kind, apiVersion: kind.apiVersion, reason: errorMessage(error) },
        'a watch ended',
      );
      // The version was merely too old: the list that follows is all that is needed.
      if (hasStatus(error, 410) && failures === 1) continue;
    }
    if (failures === 0) continue;
    setUp(false);
    await pause(waitMs + retryMs(retry, failures - 1), signal);
  }
  setUp(false);
}

/** Where a watch goes on. */
interface Place {
  version: string | undefined;
}

async function listAll(options: WatchesOptions, kind: KindId, signal: AbortSignal) {
  const { cluster, tell } = options;
  const keys = new Set<string>();
  let version = '';
  for await (const { objects, resourceVersion } of cluster.versioned(kind, selectionOf(options, kind), signal)) {
    version ||= resourceVersion;
    for (const object of objects) {
      keys.add(keyOf(idOf(object)));
      tell.changed(object);
    }
  }
  tell.listed(kind, keys);
  return version;
}

async function watchOnce(options: WatchesOptions, kind: KindId, place: Place, signal: AbortSignal): Promise<void> {
  const { cluster, tell, roundMs = 270_000 } = options;
  // Rounds of many agents, and of many kinds, are not to end at the same time.
  const timeoutMs = roundMs * (0.8 + 0.4 * Math.random());
  const from = { ...selectionOf(options, kind), resourceVersion: place.version ?? '', timeoutMs };
  for await (const event of cluster.watch(kind, from, signal)) {
    if (event.type === 'bookmark') {
      place.version = event.resourceVersion || place.version;
      continue;
    }
    const { object } = event;
    place.version = object.metadata.resourceVersion ?? place.version;
    if (event.type === 'deleted') tell.gone(object);
    else tell.changed(object);
  }
}

function selectionOf({ namespace, labelSelector = stackLabel, partial }: WatchesOptions, kind: KindId) {
  return { namespace, labelSelector, partial: partial ?? partialKinds.has(groupKindOf(kind)) };
}
