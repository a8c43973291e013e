import type { Database } from '../store/database.ts';
import type { Backlog, FleetRow } from './rules.ts';
import { readBacklog, readFleet } from './store.ts';

/** The figures that metrics read from the database. */
export interface Figures {
  readonly fleet: FleetRow;
  readonly backlog: Backlog;
}

/** Shortest time between two reads, however often the metrics are scraped. */
const minIntervalMs = 10_000;
/** Prometheus gives up after 10 s; with a slow database it still gets the other metrics. */
const timeoutMs = 5_000;

/** Creates the reads of figures: three statements, whatever the size of the fleet, at most every 10 s. Undefined after 5 s without an answer. */
export function createFigures(db: Database): () => Promise<Figures | undefined> {
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<Figures | undefined> = Promise.resolve(undefined);
  const read = async () => ({ fleet: await readFleet(db), backlog: await readBacklog(db) });
  return async () => {
    if (performance.now() - readAt >= minIntervalMs) {
      readAt = performance.now();
      reading = read().catch(() => undefined);
    }
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), timeoutMs);
    return Promise.race([reading, late.promise]).finally(() => clearTimeout(timer));
  };
}
