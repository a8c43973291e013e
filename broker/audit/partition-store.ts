import type { Sql, Tx } from '../store/orm.ts';

/**
 * Finds the last day that is past the retention and can be dropped, with the seal that closes it. Only the chain's beginning can be
 * dropped: entries that committed after midnight were sealed after some of the next day, and are dropped with that day.
 */
export async function lastDroppableDay(
  db: Sql,
  keepDays: number,
): Promise<{ day: string; sequence: string } | undefined> {
  const [row] = await db.sql<{ day: string; sequence: string }>(
    `with day as (
       select day, min(sequence) as first, max(sequence) as last from audit_seal group by day),
     cut as (
       select day, max(last) over (order by day) as last,
         min(first) over (order by day rows between 1 following and unbounded following) as next
       from day)
     select day::text as day, last as sequence from cut
     where day < (now() at time zone 'utc')::date - $1::int and (next is null or next > last)
       and not exists (select from audit_unsealed u where u.day <= cut.day)
     order by day desc limit 1`,
    [keepDays],
  );
  return row;
}

/** Drops all entries through a day, with their seals, and keeps the last seal's hash as the beginning of the chain. */
export async function dropThrough(tx: Tx, { day, sequence }: { day: string; sequence: string }): Promise<void> {
  await tx.sql(
    `insert into audit_base (id, sequence, hash, day) select 1, sequence, hash, $2 from audit_seal where sequence = $1
     on conflict (id) do update set sequence = excluded.sequence, hash = excluded.hash, day = excluded.day`,
    [sequence, day],
  );
  await tx.sql('delete from audit_seal where sequence <= $1', [sequence]);
  for (const name of await partitionsBefore(tx, day)) await tx.sql(`drop table ${name}`);
  // The rest holds entries of days that had no partition. Nobody else writes while the table is locked.
  const end = `($1::date + 1)::timestamp at time zone 'utc'`;
  if ((await tx.sql(`select 1 from audit_rest where at < ${end} limit 1`, [day])).length === 0) return;
  await tx.sql('alter table audit_rest disable trigger user');
  await tx.sql(`delete from audit_rest where at < ${end}`, [day]);
  await tx.sql('alter table audit_rest enable trigger user');
}

/** Lists the partitions of a day and of all days before it, even those without entries. */
async function partitionsBefore(tx: Tx, day: string): Promise<string[]> {
  const rows = await tx.sql<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'audit'::regclass and c.relname ~ '^audit_[0-9]{8}$' and c.relname <= $1 order by 1`,
    [partitionOf(day)],
  );
  return rows.map((row) => row.name);
}

/**
 * Creates the partition of a day. Returns whether it is new. A day whose entries already went to the rest, because it had no
 * partition, gets none.
 */
export async function createDay(tx: Tx, day: string, next: string): Promise<boolean> {
  const [existing] = await tx.sql<{ isTaken: boolean }>(
    `select to_regclass($1) is not null or exists (
       select from audit_rest where at >= $2::timestamptz and at < $3::timestamptz) as "isTaken"`,
    [partitionOf(day), startOf(day), startOf(next)],
  );
  if (existing?.isTaken) return false;
  await tx.sql(
    `create table ${partitionOf(day)} partition of audit for values from ('${startOf(day)}') to ('${startOf(next)}')`,
  );
  return true;
}

function partitionOf(day: string): string {
  return `audit_${day.replaceAll('-', '')}`;
}

function startOf(day: string): string {
  return `${day} 00:00:00+00`;
}
