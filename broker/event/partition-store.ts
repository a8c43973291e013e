import type { Database, Tx } from '../store/database.ts';
import { createDayPartitions, lockMaintenance } from '../store/partitions.ts';

/** Days for which events are kept, by the database's clock. */
export const eventDays = 30;

/** Creates the partitions of the next days. Returns how many were missing. */
export function createEventPartitions(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockMaintenance(tx, 'event partitions');
    return createDayPartitions(tx, 1, (day, next) => createPartition(tx, day, next));
  });
}

async function createPartition(tx: Tx, day: string, next: string): Promise<boolean> {
  const name = `event_${day.replaceAll('-', '')}`;
  const [existing] = await tx.sql('select to_regclass($1) as name', [name]);
  if (existing?.name) return false;
  await tx.sql(
    `create table ${name} partition of event for values from ('${day} 00:00:00+00') to ('${next} 00:00:00+00')`,
  );
  return true;
}

/** Drops the partitions of days that are past the retention, and deletes old rows of the default partition. Returns how many of both. */
export function dropOldEvents(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockMaintenance(tx, 'event partitions');
    const partitions = await tx.sql<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'event'::regclass and c.relname ~ '^event_[0-9]{8}$'
         and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'utc')::date - $1::int`,
      [eventDays],
    );
    for (const { name } of partitions) await tx.sql(`drop table ${name}`);
    const others = await tx.sql(
      `delete from event_rest where received_at < now() - make_interval(days => $1) returning 1`,
      [eventDays],
    );
    return partitions.length + others.length;
  });
}
