import type { Database } from '../store/database.ts';
import type { Backlog, FleetRow } from './rules.ts';
import { readBacklog, readFleet } from './store.ts';

/** What the database is asked for a scrape. */
export interface Figures {
  readonly fleet: FleetRow;
  readonly backlog: Backlog;
}

/** However many scrape, and however often. */
const readEveryMs = 10_000;
/** Prometheus gives up after 10 s; the rest is to be told even if the database is slow. */
const patienceMs = 5_000;

/** Reads figures, in three statements whatever the fleet's size, at most every 10 s; undefined when they cannot be had in 5 s. */
export function createFigures(db: Database): () => Promise<Figures | undefined> {
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<Figures | undefined> = Promise.resolve(undefined);
  const read = async () => ({ fleet: await readFleet(db), backlog: await readBacklog(db) });
  return async () => {
    if (performance.now() - readAt >= readEveryMs) {
      readAt = performance.now();
      reading = read().catch(() => undefined);
    }
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), patienceMs);
    return Promise.race([reading, late.promise]).finally(() => clearTimeout(timer));
  };
}
