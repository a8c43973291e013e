import type { Database, Tx } from '../store/orm.ts';

const dayMs = 86_400_000;
const daysAhead = 3;
/** Events are kept this long, by the broker's clock. */
export const eventDays = 30;

/** Makes the partitions of today and the next days. Returns how many were new. */
export function makeEventPartitions(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockPartitions(tx);
    const [row] = await tx.sql<{ today: string }>(`select to_char(now() at time zone 'utc', 'YYYY-MM-DD') as today`);
    const today = new Date(`${row?.today}T00:00:00Z`).getTime();
    let made = 0;
    for (let day = 1; day <= daysAhead; day += 1) made += await makePartition(tx, new Date(today + day * dayMs));
    return made;
  });
}

async function makePartition(tx: Tx, day: Date): Promise<number> {
  const from = day.toISOString().slice(0, 10);
  const to = new Date(day.getTime() + dayMs).toISOString().slice(0, 10);
  const name = `event_${from.replaceAll('-', '')}`;
  const there = await tx.sql('select to_regclass($1) as name', [name]);
  if (there[0]?.name) return 0;
  await tx.sql(
    `create table ${name} partition of event for values from ('${from} 00:00:00+00') to ('${to} 00:00:00+00')`,
  );
  return 1;
}

/** Drops whole days that are past the retention, and such rows of the partition that catches the rest. */
export function dropOldEvents(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockPartitions(tx);
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

/** One broker at a time; and reports must not queue behind a lock that this waits for: the next turn is soon enough. */
async function lockPartitions(tx: Tx): Promise<void> {
  await tx.sql(`set local lock_timeout = '2s'`);
  await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr event partitions ' || current_schema(), 0))`);
}
