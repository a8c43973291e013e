import type { Logger } from 'pino';
import type { Database } from '../store/database.ts';
import { type Actor, type NewEntry, nobody } from './rules.ts';
import { insertEntries } from './store.ts';

export interface Denial {
  readonly actor: Actor;
  readonly method: string;
  readonly source: string;
  /** A gRPC code's name. */
  readonly code: string;
}

export interface Denials {
  note(denial: Denial): void;
  close(): Promise<void>;
}

const minuteMs = 60_000;
const writeEveryMs = 1_000;
/** So many of one source are written one by one in a minute; the others are counted. */
const singly = 10;
/** So many sources are told apart in a minute; what others do is counted together. */
const maxSources = 10_000;

interface Counted {
  readonly since: number;
  seen: number;
  /** What those that are not written one by one have in common. */
  rest: Denial | undefined;
}

/**
 * Records denied calls apart from any change: the first ten of a source and minute one by one, the others as one entry with their
 * number, when the minute is over. Entries are written together once a second; when the database is gone, they are lost and told.
 */
export function createDenials(db: Database, log: Logger, now: () => number): Denials {
  const counted = new Map<string, Counted>();
  let pending: NewEntry[] = [];
  let writing: Promise<void> = Promise.resolve();
  const closeMinute = (key: string, { rest, seen }: Counted) => {
    counted.delete(key);
    if (rest) pending.push(toEntry(rest, seen - singly));
  };
  const write = async (everything: boolean) => {
    for (const [key, entry] of counted) if (everything || now() - entry.since >= minuteMs) closeMinute(key, entry);
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
      const source = counted.size < maxSources || counted.has(denial.source) ? denial.source : 'others';
      const entry = counted.get(source) ?? { since: now(), seen: 0, rest: undefined };
      counted.set(source, entry);
      entry.seen += 1;
      if (entry.seen <= singly) pending.push(toEntry(denial, 1));
      else entry.rest = entry.rest ? common(entry.rest, denial) : { ...denial, source };
    },
    async close() {
      clearInterval(timer);
      await writing;
      await write(true);
    },
  };
}

/** What two denied calls have in common: an entry for many must not name one of them as if it were all. */
function common(one: Denial, other: Denial): Denial {
  return {
    actor: one.actor.shortToken === other.actor.shortToken ? one.actor : nobody,
    method: one.method === other.method ? one.method : '',
    source: one.source,
    code: one.code === other.code ? one.code : '',
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
