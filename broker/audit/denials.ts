import type { Logger } from 'pino';
import type { Database } from '../store/database.ts';
import { type Actor, type NewEntry, nobody } from './rules.ts';
import { insertEntries } from './store.ts';

export interface Denial {
  readonly actor: Actor;
  readonly method: string;
  readonly source: string;
  /** Name of the gRPC code. */
  readonly code: string;
}

/** Records calls that were denied. */
export interface Denials {
  note(denial: Denial): void;
  close(): Promise<void>;
}

const minuteMs = 60_000;
const writeEveryMs = 1_000;
/** Denials of one source that are written one by one in a minute; further ones are windows. */
const maxSingleEntries = 10;
/** Sources that are counted apart in a minute; further ones are counted together. */
const maxSources = 10_000;

/** The denials of one source within a minute. */
interface DenialWindow {
  readonly startedAt: number;
  count: number;
  /** The fields that the denials which are only counted have in common. */
  rest: Denial | undefined;
}

/**
 * Creates the recorder of denied calls, which belong to no change. The first ten of a source in a minute are written one by one, the
 * others as one entry with a count when the minute is over. Entries are written together once a second. They are lost while the
 * database is gone, which is logged.
 */
export function createDenials(db: Database, log: Logger, now: () => number): Denials {
  const windows = new Map<string, DenialWindow>();
  let pending: NewEntry[] = [];
  let writing: Promise<void> = Promise.resolve();
  const closeWindow = (source: string, { rest, count }: DenialWindow) => {
    windows.delete(source);
    if (rest) pending.push(toEntry(rest, count - maxSingleEntries));
  };
  const write = async (closeAll: boolean) => {
    for (const [source, window] of windows)
      if (closeAll || now() - window.startedAt >= minuteMs) closeWindow(source, window);
    if (pending.length === 0) return;
    const entries = pending;
    pending = [];
    await insertEntries(db, entries).catch((error: unknown) =>
      log.warn({ err: String(error), count: entries.length }, 'denied calls could not be recorded'),
    );
  };
  const timer = setInterval(() => {
    writing = writing.then(() => write(false));
  }, writeEveryMs);
  return {
    note(denial) {
      const source = windows.size < maxSources || windows.has(denial.source) ? denial.source : 'others';
      const window = windows.get(source) ?? { startedAt: now(), count: 0, rest: undefined };
      windows.set(source, window);
      window.count += 1;
      if (window.count <= maxSingleEntries) pending.push(toEntry(denial, 1));
      else window.rest = window.rest ? merge(window.rest, denial) : { ...denial, source };
    },
    async close() {
      clearInterval(timer);
      await writing;
      await write(true);
    },
  };
}

/** Keeps what two denied calls have in common: an entry for many must not name one caller or method as if it were all. */
function merge(first: Denial, second: Denial): Denial {
  return {
    actor: first.actor.shortToken === second.actor.shortToken ? first.actor : nobody,
    method: first.method === second.method ? first.method : '',
    source: first.source,
    code: first.code === second.code ? first.code : '',
  };
}

function toEntry({ actor, method, source, code }: Denial, count: number): NewEntry {
  return {
    actor,
    action: method,
    objectKind: '',
    objectId: '',
    objectName: '',
    before: null,
    after: null,
    source,
    requestId: '',
    outcome: 'denied',
    code,
    count,
  };
}
