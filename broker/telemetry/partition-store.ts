import type { Database, Tx } from '../store/database.ts';
import { lockMaintenance } from '../store/partitions.ts';

const hourMs = 3_600_000;
const hoursAhead = 3;
/** Live tails need rows for this long even when nothing is kept. */
const minKeepMs = 60_000;
const orphansPerDelete = 5_000;

/** Creates the partitions of the next hours. Returns how many were missing. */
export function createTelemetryPartitions(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    await lockMaintenance(tx, 'telemetry slices');
    const [row] = await tx.sql<{ now: Date }>('select now() as now');
    const hour = Math.floor(row!.now.getTime() / hourMs);
    let created = 0;
    for (let ahead = 1; ahead <= hoursAhead; ahead += 1) created += await createPartition(tx, (hour + ahead) * hourMs);
    return created;
  });
}

async function createPartition(tx: Tx, fromMs: number): Promise<number> {
  const [from, to] = [fromMs, fromMs + hourMs].map((ms) => new Date(ms).toISOString());
  const name = `telemetry_${from!.slice(0, 13).replaceAll(/\D/g, '')}`;
  const [existing] = await tx.sql<{ name: string | null }>('select to_regclass($1) as name', [name]);
  if (existing?.name) return 0;
  await tx.sql(`create table ${name} partition of telemetry for values from ('${from}') to ('${to}')`);
  return 1;
}

/** Drops the partitions of hours that are past the retention, and deletes old rows of the default partition. Returns how many of both. */
export function dropOldTelemetry(db: Database, keepMs: number): Promise<number> {
  const seconds = Math.max(keepMs, minKeepMs) / 1_000;
  return db.transact(async (tx) => {
    await lockMaintenance(tx, 'telemetry slices');
    const partitions = await tx.sql<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'telemetry'::regclass and c.relname ~ '^telemetry_[0-9]{10}$'
         and to_timestamp(right(c.relname, 10) || '+00', 'YYYYMMDDHH24TZH') + interval '1 hour' < now() - make_interval(secs => $1::float8)`,
      [seconds],
    );
    for (const { name } of partitions) await tx.sql(`drop table ${name}`);
    // With a retention below an hour, rows expire before their partition does.
    const others = await tx.sql(
      `delete from ${keepMs < hourMs ? 'telemetry' : 'telemetry_rest'} where received_at < now() - make_interval(secs => $1::float8) returning 1`,
      [seconds],
    );
    return partitions.length + others.length;
  });
}

/** Deletes the telemetry of deleted stacks and agents, in portions. Returns how many rows. */
export async function deleteOrphanedTelemetry(db: Database): Promise<number> {
  let deleted = 0;
  for (const { id } of await db.sql<{ id: string }>('select id from telemetry_orphan')) {
    for (const column of ['stack_id', 'agent_id'] as const) {
      for (let count = orphansPerDelete; count === orphansPerDelete; deleted += count) {
        const rows = await db.sql(
          `delete from telemetry where (tableoid, ctid) in
             (select tableoid, ctid from telemetry where ${column} = $1 limit ${orphansPerDelete}) returning 1`,
          [id],
        );
        count = rows.length;
      }
    }
    await db.sql('delete from telemetry_agent where agent_id = $1', [id]);
    await db.sql('delete from telemetry_orphan where id = $1', [id]);
  }
  return deleted;
}
