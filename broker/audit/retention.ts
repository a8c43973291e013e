import type { Database } from '../store/orm.ts';
import { lockUpkeep, makeDays } from '../store/partitions.ts';
import { createDay, dropThrough, lastDroppableDay } from './partition-store.ts';
import { lockSealer } from './store.ts';

/** Retention of entries, in whole days by the database's clock. */
const auditDays = 400;

/** Creates the partitions of today and the next days. Returns how many were new. */
export function createAuditDays(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockUpkeep(tx, 'audit partitions');
    return makeDays(tx, 0, (day, next) => createDay(tx, day, next));
  });
}

/** Drops days that are past the retention, and keeps the hash that closes them. Returns 1 if there were any, otherwise 0. */
export function dropAuditDays(db: Database, keepDays: number = auditDays): Promise<number> {
  return db.transact(async (tx) => {
    await lockUpkeep(tx, 'audit partitions');
    if (!(await lockSealer(tx))) return 0;
    const last = await lastDroppableDay(tx, keepDays);
    if (last) await dropThrough(tx, last);
    return last ? 1 : 0;
  });
}
