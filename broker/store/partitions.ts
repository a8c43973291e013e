import type { Tx } from './orm.ts';

const dayMs = 86_400_000;
const daysAhead = 3;

/**
 * One broker at a time makes and drops partitions; and writers must not queue behind a lock that this waits for: the next turn is soon
 * enough. The names stay as they are: brokers of two versions must lock the same.
 */
export async function lockUpkeep(
  tx: Tx,
  name: 'audit partitions' | 'event partitions' | 'telemetry slices',
): Promise<void> {
  await tx.sql(`set local lock_timeout = '2s'`);
  await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr ${name} ' || current_schema(), 0))`);
}

/**
 * Calls `make` for each day (such as "2026-01-31", in UTC by the database's clock) from so many after today to three after it, with the
 * day that follows. Returns how often it says that the day is new.
 */
export async function makeDays(
  tx: Tx,
  firstAhead: number,
  make: (day: string, next: string) => Promise<boolean>,
): Promise<number> {
  const [row] = await tx.sql<{ today: string }>(`select to_char(now() at time zone 'utc', 'YYYY-MM-DD') as today`);
  const today = new Date(`${row?.today}T00:00:00Z`).getTime();
  let made = 0;
  for (let ahead = firstAhead; ahead <= daysAhead; ahead += 1) {
    if (await make(dayOf(today + ahead * dayMs), dayOf(today + (ahead + 1) * dayMs))) made += 1;
  }
  return made;
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
