import type { Logger } from 'pino';
import { NIL } from 'uuid';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { type PollInterval, poll } from '../store/poll.ts';
import { pause } from '../store/wait.ts';
import { createFleetSnapshot, type FleetChanges, type FleetSnapshot } from './fleet-snapshot.ts';
import { membersAfter, readFleet } from './store.ts';

export interface FleetSubscription {
  /**
   * Returns what has changed since the previous call; everything at the first. Waits for a change for at most `waitMs` or until the
   * signal aborts, and then returns undefined. Rejects when the fleet cannot be read.
   */
  next(waitMs: number, signal: AbortSignal): Promise<FleetChanges | undefined>;
  close(): void;
}

/** The fleet as it was last read, shared by all its watchers on this broker. */
export interface FleetCache {
  subscribe(): FleetSubscription;
  close(): void;
}

/** Agents that go offline make no change that the feed could announce. */
const pollInterval: PollInterval = { maxMs: 5_000, minMs: 50 };
const agentsPerRead = 500;

/** Creates a cache that reads the fleet while it has subscribers. After a failure the next subscriber starts it again. */
export function createFleetCache(db: Database, feed: Feed, log: Logger): FleetCache {
  let current: FleetPoller | undefined;
  return {
    subscribe() {
      const poller =
        current ??
        startPoller(db, feed, log, () => {
          if (current === poller) current = undefined;
        });
      current = poller;
      return poller.subscribe();
    },
    close: () => current?.stop(),
  };
}

/** Reads the fleet from the first subscription until the last one is closed, or until a read fails. */
interface FleetPoller {
  subscribe(): FleetSubscription;
  stop(): void;
}

/** A subscription's last reading. */
interface Cursor {
  reading: number;
}

function startPoller(db: Database, feed: Feed, log: Logger, onStop: () => void): FleetPoller {
  const snapshot = createFleetSnapshot();
  const cursors = new Set<Cursor>();
  const stopping = new AbortController();
  let change = createChange();

  const stop = () => {
    stopping.abort();
    onStop();
  };
  const read = async () => {
    await readInto(snapshot, db, stopping.signal);
    snapshot.forgetRemoved(Math.min(...[...cursors].map(({ reading }) => reading)));
  };
  const run = async () => {
    for await (const _ of poll(subscribeTo(feed), read, pollInterval, stopping.signal)) {
      change.resolve();
      change = createChange();
    }
  };
  run().catch((error: unknown) => {
    stop();
    log.warn({ err: String(error) }, 'could not read the fleet');
    // It stays rejected, so that later calls of `next` fail too.
    change.reject(error);
  });

  return {
    stop,
    subscribe() {
      const cursor: Cursor = { reading: 0 };
      cursors.add(cursor);
      return {
        next: (waitMs, signal) => nextChanges(snapshot, cursor, () => change.promise, { waitMs, signal }),
        close() {
          cursors.delete(cursor);
          if (cursors.size === 0) stop();
        },
      };
    },
  };
}

async function nextChanges(
  snapshot: FleetSnapshot,
  cursor: Cursor,
  nextReading: () => Promise<void>,
  { waitMs, signal }: { waitMs: number; signal: AbortSignal },
): Promise<FleetChanges | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const changes = snapshot.changesSince(cursor.reading);
    cursor.reading = snapshot.reading;
    const leftMs = deadline - performance.now();
    if (changes || signal.aborted || leftMs <= 0) return changes;
    await waitFor(nextReading(), leftMs, signal);
  }
}

async function readInto(snapshot: FleetSnapshot, db: Database, stopping: AbortSignal): Promise<void> {
  const reading = snapshot.startReading();
  for (let afterId: string = NIL; !stopping.aborted; ) {
    const rows = await membersAfter(db, afterId, agentsPerRead);
    for (const row of rows) reading.add(row);
    const last = rows.at(-1);
    if (!last || rows.length < agentsPerRead) break;
    afterId = last.id;
  }
  reading.complete(await readFleet(db));
}

function subscribeTo(feed: Feed): (hint: () => void) => () => void {
  return (hint) =>
    feed.subscribe({
      changed: (changes) => changes.some(({ kind }) => kind === 'agent' || kind === 'stack') && hint(),
      reset: hint,
      reported: hint,
    });
}

function createChange(): PromiseWithResolvers<void> {
  const change = Promise.withResolvers<void>();
  // Nothing may be waiting when it is rejected.
  change.promise.catch(() => {});
  return change;
}

async function waitFor(change: Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  const waited = new AbortController();
  try {
    await Promise.race([change, pause(ms, AbortSignal.any([signal, waited.signal]))]);
  } finally {
    waited.abort();
  }
}
