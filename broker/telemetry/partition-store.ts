import type { Database, Tx } from '../store/database.ts';
import { lockMaintenance } from '../store/partitions.ts';

const hourMs = 3_600_000;
const hoursAhead = 3;
/** With nothing kept, what live tails have had the time to read. */
const relayMs = 60_000;
const orphanRows = 5_000;

/** Makes the partitions of the next hours. Returns how many were new. */
export function makeTelemetrySlices(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockMaintenance(tx, 'telemetry slices');
    const [row] = await tx.sql<{ now: Date }>('select now() as now');
    const hour = Math.floor(row!.now.getTime() / hourMs);
    let made = 0;
    for (let ahead = 1; ahead <= hoursAhead; ahead += 1) made += await makeSlice(tx, (hour + ahead) * hourMs);
    return made;
  });
}

async function makeSlice(tx: Tx, fromMs: number): Promise<number> {
  const [from, to] = [fromMs, fromMs + hourMs].map((ms) => new Date(ms).toISOString());
  const name = `telemetry_${from!.slice(0, 13).replaceAll(/\D/g, '')}`;
  const [there] = await tx.sql<{ name: string | null }>('select to_regclass($1) as name', [name]);
  if (there?.name) return 0;
  await tx.sql(`create table ${name} partition of telemetry for values from ('${from}') to ('${to}')`);
  return 1;
}

/** Drops whole hours that are past the time of keeping, and such rows that are in no hour's partition. */
export function dropOldTelemetry(db: Database, keepMs: number): Promise<number> {
  const seconds = Math.max(keepMs, relayMs) / 1_000;
  return db.transact(async (tx) => {
    await lockMaintenance(tx, 'telemetry slices');
    const rows = await tx.sql<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'telemetry'::regclass and c.relname ~ '^telemetry_[0-9]{10}$'
         and to_timestamp(right(c.relname, 10) || '+00', 'YYYYMMDDHH24TZH') + interval '1 hour' < now() - make_interval(secs => $1::float8)`,
      [seconds],
    );
    for (const { name } of rows) await tx.sql(`drop table ${name}`);
    // With less than an hour to keep, no slice is ever old enough as a whole while it is written.
    const rest = await tx.sql(
      `delete from ${keepMs < hourMs ? 'telemetry' : 'telemetry_rest'} where received_at < now() - make_interval(secs => $1::float8) returning 1`,
      [seconds],
    );
    return rows.length + rest.length;
  });
}

/** Deletes what stacks and agents that are gone have left, in portions. Returns how many rows. */
export async function dropOrphanedTelemetry(db: Database): Promise<number> {
  let dropped = 0;
  for (const { id } of await db.sql<{ id: string }>('select id from telemetry_orphan')) {
    for (const column of ['stack_id', 'agent_id'] as const) {
      for (let count = orphanRows; count === orphanRows; dropped += count) {
        const rows = await db.sql(
          `delete from telemetry where (tableoid, ctid) in
             (select tableoid, ctid from telemetry where ${column} = $1 limit ${orphanRows}) returning 1`,
          [id],
        );
        count = rows.length;
      }
    }
    await db.sql('delete from telemetry_agent where agent_id = $1', [id]);
    await db.sql('delete from telemetry_orphan where id = $1', [id]);
  }
  return dropped;
}
