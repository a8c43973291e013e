import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { NIL } from 'uuid';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { type PollInterval, poll } from '../store/poll.ts';
import { pause } from '../store/wait.ts';
import { changing, type FleetRow, type MemberRow } from './rules.ts';
import { membersAfter, readFleet } from './store.ts';

/** A member as it was last read. */
export interface BoardMember {
  readonly row: MemberRow;
  /** About what it takes. */
  readonly bytes: number;
}

export interface BoardNews {
  /** Undefined when it is as it was. */
  readonly fleet: FleetRow | undefined;
  readonly members: readonly BoardMember[];
  readonly gone: readonly string[];
}

export interface Follower {
  /**
   * What has changed since the call before; everything at the first. Waits for something, at most `waitMs` or until the signal
   * aborts, and then answers undefined. Rejects when the fleet cannot be read.
   */
  next(waitMs: number, signal: AbortSignal): Promise<BoardNews | undefined>;
  leave(): void;
}

/** The fleet as it was last read, shared by all that watch it here: each of them only knows up to which reading it was told. */
export interface FleetBoard {
  join(): Follower;
  close(): void;
}

interface Kept extends BoardMember {
  readonly print: string;
  /** Of the reading that changed it. */
  readonly reading: number;
}

/** Agents go offline in silence. */
const pollInterval: PollInterval = { maxMs: 5_000, minMs: 50 };
const agentsInOneRead = 500;

export function createFleetBoard(db: Database, feed: Feed, log: Logger): FleetBoard {
  let current: Round | undefined;
  return {
    join() {
      const round =
        current ??
        startRound(db, feed, log, () => {
          if (current === round) current = undefined;
        });
      current = round;
      return round.join();
    },
    close: () => current?.end(),
  };
}

/** What is read from the first follower's coming to the last one's leaving, or to a failure. */
interface Round {
  join(): Follower;
  end(): void;
}

function startRound(db: Database, feed: Feed, log: Logger, ended: () => void): Round {
  const followers = new Set<{ told: number }>();
  const members = new Map<string, Kept>();
  const gone = new Map<string, number>();
  const stop = new AbortController();
  let fleet: { readonly row: FleetRow; readonly print: string; readonly reading: number } | undefined;
  let reading = 0;
  let news = newsToCome();

  const read = async () => {
    const now = reading + 1;
    const seen = new Set<string>();
    for (let after: string = NIL; !stop.signal.aborted; ) {
      const rows = await membersAfter(db, after, agentsInOneRead);
      for (const row of rows) {
        seen.add(row.id);
        const text = changing(row);
        const print = createHash('sha256').update(text).digest('base64');
        if (members.get(row.id)?.print !== print)
          members.set(row.id, { row, print, bytes: Buffer.byteLength(text), reading: now });
      }
      const last = rows.at(-1);
      if (!last || rows.length < agentsInOneRead) break;
      after = last.id;
    }
    for (const id of members.keys()) {
      if (seen.has(id)) continue;
      members.delete(id);
      gone.set(id, now);
    }
    const row = await readFleet(db);
    const print = JSON.stringify(row);
    if (fleet?.print !== print) fleet = { row, print, reading: now };
    reading = now;
    const toldAll = Math.min(...[...followers].map(({ told }) => told));
    for (const [id, at] of gone) if (at <= toldAll) gone.delete(id);
  };

  const readOn = async () => {
    const subscribe = (hint: () => void) =>
      feed.subscribe({
        changed: (changes) => changes.some(({ kind }) => kind === 'agent' || kind === 'stack') && hint(),
        reset: hint,
        reported: hint,
      });
    for await (const _ of poll(subscribe, read, pollInterval, stop.signal)) {
      news.resolve();
      news = newsToCome();
    }
  };

  const end = () => {
    stop.abort();
    ended();
  };

  /** What a follower was not told; a reading that is under way is told when it is over. */
  const newsFor = (follower: { told: number }): BoardNews | undefined => {
    const { told } = follower;
    const isNew = (at: number) => at > told && at <= reading;
    follower.told = reading;
    const changed = [...members.values()].filter((member) => isNew(member.reading));
    const left = told === 0 ? [] : [...gone].filter(([, at]) => isNew(at)).map(([id]) => id);
    const counts = fleet && isNew(fleet.reading) ? fleet.row : undefined;
    return counts || changed.length > 0 || left.length > 0
      ? { fleet: counts, members: changed, gone: left }
      : undefined;
  };

  readOn().catch((error: unknown) => {
    end();
    log.warn({ err: String(error) }, 'could not read the fleet');
    // Also for those who come to ask: there will be no other news.
    news.reject(error);
  });

  return {
    end,
    join() {
      const follower = { told: 0 };
      followers.add(follower);
      return {
        async next(waitMs, signal) {
          const deadline = performance.now() + waitMs;
          for (;;) {
            const found = newsFor(follower);
            const leftMs = deadline - performance.now();
            if (found || signal.aborted || leftMs <= 0) return found;
            await waitFor(news.promise, leftMs, signal);
          }
        },
        leave() {
          followers.delete(follower);
          if (followers.size === 0) end();
        },
      };
    },
  };
}

function newsToCome(): PromiseWithResolvers<void> {
  const news = Promise.withResolvers<void>();
  // Nobody may be waiting when it fails.
  news.promise.catch(() => {});
  return news;
}

async function waitFor(news: Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([news, pause(ms, AbortSignal.any([signal, over.signal]))]);
  } finally {
    over.abort();
  }
}
