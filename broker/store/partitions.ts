import type { Tx } from './database.ts';

const dayMs = 86_400_000;
const daysAhead = 3;

/**
 * Locks the maintenance of partitions until the transaction ends: one broker at a time creates and drops them. Waits for no lock
 * longer than 2 s, because writers would queue behind the waiting transaction; the next run of the job is soon enough. The names stay
 * as they are, since brokers of two versions must take the same lock.
 */
export async function lockMaintenance(
  tx: Tx,
  name: 'audit partitions' | 'event partitions' | 'telemetry slices',
): Promise<void> {
  await tx.sql(`set local lock_timeout = '2s'`);
  await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr ${name} ' || current_schema(), 0))`);
}

/**
 * Calls `create` for each day (such as "2026-01-31", in UTC by the database's clock) from `firstAhead` days after today to three days
 * after it, together with the day that follows. Returns the number of calls that returned true, for a partition that was missing.
 */
export async function createDayPartitions(
  tx: Tx,
  firstAhead: number,
  create: (day: string, next: string) => Promise<boolean>,
): Promise<number> {
  const [row] = await tx.sql<{ today: string }>(`select to_char(now() at time zone 'utc', 'YYYY-MM-DD') as today`);
  const today = new Date(`${row?.today}T00:00:00Z`).getTime();
  let created = 0;
  for (let ahead = firstAhead; ahead <= daysAhead; ahead += 1) {
    if (await create(dayOf(today + ahead * dayMs), dayOf(today + (ahead + 1) * dayMs))) created += 1;
  }
  return created;
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
