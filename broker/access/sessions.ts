import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';
import { silentDatabase } from '../refusal.ts';
import type { Change, Feed } from '../store/feed.ts';
import type { Database } from '../store/orm.ts';
import { type Principal, toPrincipal } from './principal.ts';
import { invalidKey, type PakRow } from './rules.ts';
import { readKeys } from './store.ts';

/** A verified key. Its principal stays the same object for as long as the key lives. */
export interface Session {
  readonly keyId: string;
  readonly principal: Principal;
}

interface Kept extends Session {
  readonly digest: string;
  readonly controller: AbortController;
  expiresAt: number;
  staleAt: number;
  /** Set while the key has to be read again before it may be trusted. */
  rereading: Promise<void> | undefined;
  /** The key changed while it was being read again, so that read may be too old. */
  changed: boolean;
  expiry: NodeJS.Timeout | undefined;
}

export interface Sessions {
  /** A moment to hand to `open`: take it before the key's row is read. */
  mark(): number;
  /** Remembers a key that was verified; when keys changed since the mark, reads it again first. */
  open(digest: string, row: PakRow, since: number): Promise<Session>;
  /** The remembered session under a digest, if it can be trusted now. */
  current(digest: string): Promise<Session | undefined>;
  isLive(session: Session): boolean;
  /** Answers whether the session of a principal can be trusted now, without reading anything. */
  isCurrent(principal: Principal): boolean;
  close(): void;
}

const maxKept = 50_000;
/** Even without a change, a key is read again after 10 minutes, jittered. */
const rereadAfterMs = 10 * 60_000;
/** How soon a read of keys that failed is tried again. */
const rereadFailedMs = 1_000;
/** Longer timers overflow and would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Remembers verified keys. An entry ends with its key: by a change in the feed, by expiry, or when a later read finds it ended; its
 * signal then aborts, which ends streams and long polls. Keys are read again in sets, never one query a key.
 */
export function createSessions(db: Database, feed: Feed, log: Logger, now: () => Date): Sessions {
  const byDigest = new Map<string, Kept>();
  const byKey = new Map<string, Kept>();
  let changes = 0;
  let closed = false;
  let waiting: Kept[] = [];
  let nextRead: Promise<void> = Promise.resolve();

  const end = (kept: Kept) => {
    if (byDigest.get(kept.digest) === kept) byDigest.delete(kept.digest);
    if (byKey.get(kept.keyId) === kept) byKey.delete(kept.keyId);
    clearTimeout(kept.expiry);
    kept.controller.abort(invalidKey());
  };

  const armExpiry = (kept: Kept) => {
    const leftMs = kept.expiresAt - now().getTime();
    if (leftMs <= 0) return end(kept);
    kept.expiry = setTimeout(() => armExpiry(kept), Math.min(leftMs, maxTimerMs));
    kept.expiry.unref();
  };

  const refresh = (kept: Kept, row: PakRow) => {
    clearTimeout(kept.expiry);
    kept.expiresAt = row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY;
    kept.staleAt = now().getTime() + rereadAfterMs * (0.8 + 0.4 * Math.random());
    if (row.expires_at) armExpiry(kept);
  };

  /** Reads a key again; all that ask in the same turn share one statement. */
  const reread = (kept: Kept): Promise<void> => {
    if (kept.rereading) return kept.rereading;
    if (waiting.length === 0) nextRead = new Promise((resolve) => setImmediate(resolve)).then(readWaiting);
    waiting.push(kept);
    kept.rereading = nextRead;
    return nextRead;
  };

  const readWaiting = async (): Promise<void> => {
    const group = waiting;
    waiting = [];
    for (const kept of group) kept.changed = false;
    try {
      const rows = await readKeys(
        db,
        group.map((kept) => kept.keyId),
      );
      const found = new Map(rows.map((row) => [row.id, row]));
      for (const kept of group) {
        const row = found.get(kept.keyId);
        if (row?.live) refresh(kept, row);
        else end(kept);
      }
    } catch (error) {
      // Not trusted until it was read, which is tried again; but a database that is away has ended no key.
      log.warn({ err: String(error), keys: group.length }, 'could not read keys again');
      for (const kept of group) kept.staleAt = 0;
      setTimeout(() => group.filter(isSuspect).forEach((kept) => void reread(kept)), rereadFailedMs).unref();
    }
    for (const kept of group) kept.rereading = undefined;
    await Promise.all(group.filter((kept) => kept.changed && !kept.controller.signal.aborted).map(reread));
  };

  const isSuspect = (kept: Kept) => kept.staleAt === 0 && isLive(kept) && !closed;

  const suspect = (kept: Kept) => {
    kept.changed = true;
    void reread(kept);
  };

  const unsubscribe = feed.subscribe({
    changed(seen: readonly Change[]) {
      const keys = seen.filter((change) => change.kind === 'key');
      changes += keys.length;
      for (const { ref } of keys) {
        const kept = byKey.get(ref);
        if (kept) suspect(kept);
      }
    },
    reset() {
      changes += 1;
      for (const kept of byKey.values()) suspect(kept);
    },
  });

  return {
    mark: () => changes,
    async open(digest, row, since) {
      const controller = new AbortController();
      // Every stream and long poll of the key listens to it.
      setMaxListeners(0, controller.signal);
      const principal = toPrincipal(row, controller.signal);
      const kept: Kept = {
        keyId: row.id,
        principal,
        digest,
        controller,
        expiresAt: 0,
        staleAt: 0,
        rereading: undefined,
        changed: false,
        expiry: undefined,
      };
      for (const before of [byDigest.get(digest), byKey.get(row.id)]) if (before) end(before);
      byDigest.set(digest, kept);
      byKey.set(row.id, kept);
      refresh(kept, row);
      if (since !== changes) await reread(kept);
      requireRead(kept);
      const [oldest] = byDigest.size > maxKept ? byDigest.values() : [];
      if (oldest) end(oldest);
      return kept;
    },
    async current(digest) {
      const kept = byDigest.get(digest);
      if (!kept) return undefined;
      if (isToBeRead(kept)) await reread(kept);
      if (!isLive(kept)) return undefined;
      requireRead(kept);
      touch(kept);
      return kept;
    },
    isLive: (session) => isLive(session as Kept),
    isCurrent(principal) {
      const kept = byKey.get(principal.keyId);
      if (kept?.principal !== principal || isToBeRead(kept) || !isLive(kept)) return false;
      touch(kept);
      return true;
    },
    close() {
      closed = true;
      unsubscribe();
      for (const kept of byKey.values()) clearTimeout(kept.expiry);
    },
  };

  function isToBeRead(kept: Kept): boolean {
    return kept.rereading !== undefined || !feed.healthy() || now().getTime() >= kept.staleAt;
  }

  /** Keeps the map in the order of use: the entry used longest ago comes first. */
  function touch(kept: Kept): void {
    byDigest.delete(kept.digest);
    byDigest.set(kept.digest, kept);
  }

  function isLive(kept: Kept): boolean {
    return !kept.controller.signal.aborted && now().getTime() < kept.expiresAt;
  }
}

/** A key that could not be read again may have ended meanwhile. */
function requireRead(kept: Kept): void {
  if (kept.staleAt === 0) throw silentDatabase();
}
