import type { Logger } from 'pino';
import { type Backoff, defaultBackoff, pause, retryMs } from '../concurrency/backoff.ts';
import { groupKindOf, type KindId, type KubeObject, keyOf, objectIdOf, stackLabel } from '../object/kube-object.ts';
import { errorMessage, hasStatus } from './api-error.ts';
import type { Cluster, WatchOptions } from './cluster.ts';

export interface InformerOptions {
  readonly cluster: Pick<Cluster, 'listVersioned' | 'watch' | 'discovery'>;
  /** Namespace to watch; empty for all. */
  readonly namespace: string;
  /** Objects to watch; by default those with a stack's label. */
  readonly labelSelector?: string;
  /** Asks for nothing but metadata, whatever the kind. */
  readonly metadataOnly?: boolean;
  readonly log: Logger;
  readonly handler: WatchHandler;
  readonly retry?: Backoff;
  /** Milliseconds, about, after which a watch ends and continues where it was. */
  readonly maxWatchMs?: number;
  /** Milliseconds between two lists of a kind that may be listed but not watched. */
  readonly pollMs?: number;
}

/** Receives what watches observe, in order for each object. */
export interface WatchHandler {
  /** Receives a selected object as it is now; `listedAt` is when the list that has it was asked for, undefined for an event. */
  onChange(object: KubeObject, listedAt?: number): void;
  /** Receives an object that was deleted or is no longer selected. */
  onDelete(object: KubeObject): void;
  /** Receives the keys of all objects of a kind, of a list that was asked for at `listedAt`. */
  onList(kind: KindId, keys: ReadonlySet<string>, listedAt: number): void;
}

/** The running watches, at most one for each kind. */
export interface Informers {
  /** Watches these kinds from now on, and no others. */
  follow(kinds: Iterable<KindId>): void;
  readonly counts: { readonly up: number; readonly down: number };
  /** Resolves once a followed kind is watched, or when it turned out that it cannot be for now. */
  untilWatched(kind: KindId): Promise<void>;
  /** Ends all watches. */
  close(): Promise<void>;
}

/** Kinds beyond this number are not watched: only passes notice their changes. */
const maxKinds = 200;
/** Kinds of which only metadata is read, because their content may be secret or large and is not needed. */
const metadataOnlyKinds: ReadonlySet<string> = new Set(['/ConfigMap', '/Secret']);

interface Watch {
  readonly end: AbortController;
  readonly done: Promise<void>;
  /** Settles with the first attempt. */
  readonly attempted: Promise<void>;
  up: boolean;
}

/**
 * Creates watches for kinds. Each lists its kind once, continues from the version of the list, also after a lost connection, and
 * lists again only when the server no longer knows that version. Keeps no objects.
 */
export function createInformers(options: InformerOptions): Informers {
  const watches = new Map<string, Watch>();
  return {
    follow(kinds) {
      const kindsByName = new Map([...kinds].map((kind) => [groupKindOf(kind), kind]));
      for (const [name, watch] of watches) {
        if (kindsByName.has(name)) continue;
        watch.end.abort(new Error('nothing of this kind is left to watch'));
        watches.delete(name);
      }
      for (const [name, kind] of kindsByName) {
        if (watches.has(name) || watches.size >= maxKinds) continue;
        const end = new AbortController();
        const { promise: attempted, resolve: noteAttempt } = Promise.withResolvers<void>();
        const setUp = (up: boolean) => {
          watch.up = up;
          noteAttempt();
        };
        const watch: Watch = { end, up: false, attempted, done: keepWatching(options, kind, setUp, end.signal) };
        watches.set(name, watch);
      }
    },
    get counts() {
      const up = [...watches.values()].filter((watch) => watch.up).length;
      return { up, down: watches.size - up };
    },
    async untilWatched(kind) {
      await watches.get(groupKindOf(kind))?.attempted;
    },
    async close() {
      const all = [...watches.values()];
      watches.clear();
      for (const { end } of all) end.abort(new Error('the agent stops'));
      await Promise.all(all.map(({ done }) => done));
    },
  };
}

/** Lists and watches one kind until the signal aborts. Never rejects. */
async function keepWatching(
  options: InformerOptions,
  kind: KindId,
  setUp: (up: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, log, retry = defaultBackoff, pollMs = 60_000 } = options;
  const position: Position = { version: undefined };
  // Lets the caller store the watch before the loop calls `setUp`.
  await Promise.resolve();
  for (let failures = 0; !signal.aborted; ) {
    const startedAt = Date.now();
    let waitMs = 0;
    try {
      position.version ??= await listAll(options, kind, signal);
      setUp(true);
      await watchOnce(options, kind, position, signal);
      // Backs off from a server that ends watches as soon as they begin.
      failures = Date.now() - startedAt < 1_000 ? failures + 1 : 0;
    } catch (error) {
      if (signal.aborted) break;
      failures = Date.now() - startedAt > retry.maxMs ? 1 : failures + 1;
      const isForbidden = hasStatus(error, 403) || hasStatus(error, 405);
      if (hasStatus(error, 410) || hasStatus(error, 404) || isForbidden) position.version = undefined;
      if (hasStatus(error, 404)) cluster.discovery.forget(kind.apiVersion);
      if (isForbidden) waitMs = pollMs;
      log[failures === 3 || (isForbidden && failures === 1) ? 'warn' : 'debug'](
        { kind: kind.kind, apiVersion: kind.apiVersion, reason: errorMessage(error) },
        'a watch ended',
      );
      // The version was merely too old: listing again is enough.
      if (hasStatus(error, 410) && failures === 1) continue;
    }
    if (failures === 0) continue;
    setUp(false);
    await pause(waitMs + retryMs(retry, failures - 1), signal);
  }
  setUp(false);
}

/** The version from which a watch continues; undefined when it has to list first. */
interface Position {
  version: string | undefined;
}

async function listAll(options: InformerOptions, kind: KindId, signal: AbortSignal) {
  const { cluster, handler } = options;
  const keys = new Set<string>();
  let version = '';
  const listedAt = performance.now();
  for await (const { objects, resourceVersion } of cluster.listVersioned(kind, selectionOf(options, kind), signal)) {
    version ||= resourceVersion;
    for (const object of objects) {
      keys.add(keyOf(objectIdOf(object)));
      handler.onChange(object, listedAt);
    }
  }
  handler.onList(kind, keys, listedAt);
  return version;
}

async function watchOnce(
  options: InformerOptions,
  kind: KindId,
  position: Position,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, handler, maxWatchMs = 270_000 } = options;
  // The jitter keeps the watches of many agents and kinds from ending at the same time.
  const timeoutMs = maxWatchMs * (0.8 + 0.4 * Math.random());
  const watchOptions = { ...selectionOf(options, kind), resourceVersion: position.version ?? '', timeoutMs };
  for await (const event of cluster.watch(kind, watchOptions, signal)) {
    if (event.type === 'bookmark') {
      position.version = event.resourceVersion || position.version;
      continue;
    }
    const { object } = event;
    position.version = object.metadata.resourceVersion ?? position.version;
    if (event.type === 'deleted') handler.onDelete(object);
    else handler.onChange(object);
  }
}

function selectionOf(
  { namespace, labelSelector = stackLabel, metadataOnly }: InformerOptions,
  kind: KindId,
): Pick<WatchOptions, 'namespace' | 'labelSelector' | 'metadataOnly'> {
  return { namespace, labelSelector, metadataOnly: metadataOnly ?? metadataOnlyKinds.has(groupKindOf(kind)) };
}
