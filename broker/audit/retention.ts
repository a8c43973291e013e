import type { Database } from '../store/orm.ts';
import { dropThrough, lastDroppableDay, lockPartitions, makeDay } from './days-store.ts';
import { lockSealer } from './store.ts';

const dayMs = 86_400_000;
const daysAhead = 3;
/** Entries are kept for about this long: whole days, by the database's clock. */
const auditDays = 400;

/** Makes the partitions of today and the next days. Returns how many were new. */
export function makeAuditDays(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockPartitions(tx);
    const [row] = await tx.sql<{ today: string }>(`select to_char(now() at time zone 'utc', 'YYYY-MM-DD') as today`);
    const today = new Date(`${row?.today}T00:00:00Z`).getTime();
    let made = 0;
    for (let ahead = 0; ahead <= daysAhead; ahead += 1) {
      if (await makeDay(tx, dayOf(today + ahead * dayMs), dayOf(today + (ahead + 1) * dayMs))) made += 1;
    }
    return made;
  });
}

/** Drops days that are past the retention, and keeps the hash that closes them. Returns whether there were any, as 1 or 0. */
export function dropAuditDays(db: Database, keepDays: number = auditDays): Promise<number> {
  return db.transact(async (tx) => {
    await lockPartitions(tx);
    if (!(await lockSealer(tx))) return 0;
    const last = await lastDroppableDay(tx, keepDays);
    if (last) await dropThrough(tx, last);
    return last ? 1 : 0;
  });
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
