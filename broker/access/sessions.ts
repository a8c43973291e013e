import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';
import { silentDatabase } from '../refusal.ts';
import type { Change } from '../store/change-reader.ts';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { type Principal, toPrincipal } from './principal.ts';
import { invalidKey, type PakRow } from './rules.ts';
import { readKeys } from './store.ts';

/** The session of a verified key. Its principal stays the same object until the key ends. */
export interface Session {
  readonly keyId: string;
  readonly principal: Principal;
}

interface CachedSession extends Session {
  readonly digest: string;
  readonly controller: AbortController;
  expiresAt: number;
  /** Time from which the key must be read again before it is trusted; 0 after a read failed. */
  staleAt: number;
  /** The read that must finish before the key is trusted again. */
  rereading: Promise<void> | undefined;
  /** The key changed after its read had begun, so the result may be too old. */
  changed: boolean;
  expiryTimer: NodeJS.Timeout | undefined;
}

export interface SessionCache {
  /** Returns a mark for `open`; take it before the key's row is read. */
  mark(): number;
  /** Caches a verified key. If keys changed since the mark, the key is read again first. */
  open(digest: string, row: PakRow, mark: number): Promise<Session>;
  /** Returns the cached session of a digest, if it can be trusted now. */
  current(digest: string): Promise<Session | undefined>;
  isValid(session: Session): boolean;
  /** Answers whether the session of a principal can be trusted now, without reading anything. */
  isCurrent(principal: Principal): boolean;
  close(): void;
}

const maxSessions = 50_000;
/** Age at which a key is read again even if no change was announced; jittered. */
const rereadAfterMs = 10 * 60_000;
/** Delay after which a failed read is retried. */
const retryReadMs = 1_000;
/** Node's longest timer: a longer delay would overflow and fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Caches the sessions of verified keys. A session ends with its key: when the feed announces a change, when the key expires, or when a
 * later read finds that it has ended. Its signal then aborts, which ends streams and long polls. Keys are read again in batches, never
 * with one query for each.
 */
export function createSessionCache(db: Database, feed: Feed, log: Logger, now: () => Date): SessionCache {
  const byDigest = new Map<string, CachedSession>();
  const byKey = new Map<string, CachedSession>();
  let changeCount = 0;
  let closed = false;
  let queued: CachedSession[] = [];
  let nextRead: Promise<void> = Promise.resolve();

  const end = (session: CachedSession) => {
    if (byDigest.get(session.digest) === session) byDigest.delete(session.digest);
    if (byKey.get(session.keyId) === session) byKey.delete(session.keyId);
    clearTimeout(session.expiryTimer);
    session.controller.abort(invalidKey());
  };

  const armExpiry = (session: CachedSession) => {
    const leftMs = session.expiresAt - now().getTime();
    if (leftMs <= 0) return end(session);
    session.expiryTimer = setTimeout(() => armExpiry(session), Math.min(leftMs, maxTimerMs));
    session.expiryTimer.unref();
  };

  const refresh = (session: CachedSession, row: PakRow) => {
    clearTimeout(session.expiryTimer);
    session.expiresAt = row.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
    session.staleAt = now().getTime() + rereadAfterMs * (0.8 + 0.4 * Math.random());
    if (row.expiresAt) armExpiry(session);
  };

  /** Reads a key again. All requests of one turn of the event loop share a statement. */
  const reread = (session: CachedSession): Promise<void> => {
    if (session.rereading) return session.rereading;
    if (queued.length === 0) nextRead = new Promise((resolve) => setImmediate(resolve)).then(readQueued);
    queued.push(session);
    session.rereading = nextRead;
    return nextRead;
  };

  const readQueued = async (): Promise<void> => {
    const batch = queued;
    queued = [];
    for (const session of batch) session.changed = false;
    try {
      const rows = await readKeys(
        db,
        batch.map((session) => session.keyId),
      );
      const rowsById = new Map(rows.map((row) => [row.id, row]));
      for (const session of batch) {
        const row = rowsById.get(session.keyId);
        if (row?.isValid) refresh(session, row);
        else end(session);
      }
    } catch (error) {
      // Without a read the keys are not trusted, but they have not ended either: retry until the database answers.
      log.warn({ err: String(error), keys: batch.length }, 'could not read keys again');
      for (const session of batch) session.staleAt = 0;
      setTimeout(() => batch.filter(isUnread).forEach((session) => void reread(session)), retryReadMs).unref();
    }
    for (const session of batch) session.rereading = undefined;
    await Promise.all(batch.filter((session) => session.changed && !session.controller.signal.aborted).map(reread));
  };

  const isUnread = (session: CachedSession) => session.staleAt === 0 && isValid(session) && !closed;

  const invalidate = (session: CachedSession) => {
    session.changed = true;
    void reread(session);
  };

  const unsubscribe = feed.subscribe({
    changed(changes: readonly Change[]) {
      const keys = changes.filter((change) => change.kind === 'key');
      changeCount += keys.length;
      for (const { ref } of keys) {
        const session = byKey.get(ref);
        if (session) invalidate(session);
      }
    },
    reset() {
      changeCount += 1;
      for (const session of byKey.values()) invalidate(session);
    },
  });

  return {
    mark: () => changeCount,
    async open(digest, row, mark) {
      const controller = new AbortController();
      // Every stream and long poll of the key adds a listener.
      setMaxListeners(0, controller.signal);
      const principal = toPrincipal(row, controller.signal);
      const session: CachedSession = {
        keyId: row.id,
        principal,
        digest,
        controller,
        expiresAt: 0,
        staleAt: 0,
        rereading: undefined,
        changed: false,
        expiryTimer: undefined,
      };
      for (const previous of [byDigest.get(digest), byKey.get(row.id)]) if (previous) end(previous);
      byDigest.set(digest, session);
      byKey.set(row.id, session);
      refresh(session, row);
      if (mark !== changeCount) await reread(session);
      requireRead(session);
      const [oldest] = byDigest.size > maxSessions ? byDigest.values() : [];
      if (oldest) end(oldest);
      return session;
    },
    async current(digest) {
      const session = byDigest.get(digest);
      if (!session) return undefined;
      if (mustBeReread(session)) await reread(session);
      if (!isValid(session)) return undefined;
      requireRead(session);
      touch(session);
      return session;
    },
    isValid: (session) => isValid(session as CachedSession),
    isCurrent(principal) {
      const session = byKey.get(principal.keyId);
      if (session?.principal !== principal || mustBeReread(session) || !isValid(session)) return false;
      touch(session);
      return true;
    },
    close() {
      closed = true;
      unsubscribe();
      for (const session of byKey.values()) clearTimeout(session.expiryTimer);
    },
  };

  function mustBeReread(session: CachedSession): boolean {
    return session.rereading !== undefined || !feed.healthy() || now().getTime() >= session.staleAt;
  }

  /** Keeps the map in the order of use: the entry used longest ago comes first. */
  function touch(session: CachedSession): void {
    byDigest.delete(session.digest);
    byDigest.set(session.digest, session);
  }

  function isValid(session: CachedSession): boolean {
    return !session.controller.signal.aborted && now().getTime() < session.expiresAt;
  }
}

/** Refuses a key that could not be read again, because it may have ended meanwhile. */
function requireRead(session: CachedSession): void {
  if (session.staleAt === 0) throw silentDatabase();
}
