import type { Database, Tx } from '../store/orm.ts';
import { lockUpkeep, makeDays } from '../store/partitions.ts';

/** Events are kept this long, by the database's clock. */
export const eventDays = 30;

/** Makes the partitions of the next days. Returns how many were new. */
export function makeEventPartitions(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockUpkeep(tx, 'event partitions');
    return makeDays(tx, 1, (day, next) => makePartition(tx, day, next));
  });
}

async function makePartition(tx: Tx, day: string, next: string): Promise<boolean> {
  const name = `event_${day.replaceAll('-', '')}`;
  const [there] = await tx.sql('select to_regclass($1) as name', [name]);
  if (there?.name) return false;
  await tx.sql(
    `create table ${name} partition of event for values from ('${day} 00:00:00+00') to ('${next} 00:00:00+00')`,
  );
  return true;
}

/** Drops whole days that are past the retention, and such rows of the partition that catches the rest. */
export function dropOldEvents(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockUpkeep(tx, 'event partitions');
    const rows = await tx.sql<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'event'::regclass and c.relname ~ '^event_[0-9]{8}$'
         and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'utc')::date - $1::int`,
      [eventDays],
    );
    for (const { name } of rows) await tx.sql(`drop table ${name}`);
    const rest = await tx.sql(
      `delete from event_rest where received_at < now() - make_interval(days => $1) returning 1`,
      [eventDays],
    );
    return rows.length + rest.length;
  });
}
