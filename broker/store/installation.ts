import { v7 as uuid } from 'uuid';
import type { Database, Sql, Transaction } from './database.ts';
import { announce } from './feed.ts';

/** Name of the generator that owns the stacks of admins. Every agent is registered with it. */
export const systemGenerator = 'system';

/** Exceeds the number of orders that are drawn while an epoch begins. */
const orderLeap = 1_000_000;

/** Tells a database from its restored backups and promoted standbys. */
interface DatabaseIdentity {
  readonly systemIdentifier: string;
  readonly timeline: string;
}

interface InstallationRow {
  readonly epoch: string;
  /** A version of the broker that does not mark the row was the last to write it. */
  readonly isUnmarked: boolean;
  readonly isRestored: boolean;
}

/**
 * True for a row of `installation` (alias i) that another transaction wrote than the one whose id it holds: a restore has written it.
 * PostgreSQL keeps the writer of a row, of which `xmin` has the lower 32 bits; vacuuming and rewriting a table do not change it.
 */
export const isRestoredSql =
  '(i.written_by is not null and (i.written_by::text::numeric % 4294967296)::text <> i.xmin::text)';

/**
 * Inserts the installation's rows on the first start. Later it begins a new epoch when the database is not the one of the previous
 * check: a restored backup or a promoted standby has another system identifier or timeline, and a restore into the same one writes the
 * rows anew. Returns the epoch.
 */
export async function checkInstallation(db: Database): Promise<bigint> {
  return db.transact(async (tx) => {
    await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr installation ' || current_schema(), 0))`);
    const now = await readIdentity(tx);
    const [row] = await tx.sql<DatabaseIdentity & InstallationRow>(
      `select epoch, system_identifier as "systemIdentifier", timeline, written_by is null as "isUnmarked",
         ${isRestoredSql} as "isRestored" from installation i`,
    );
    if (!row) {
      await tx.sql(
        `insert into installation (id, epoch, system_identifier, timeline, reason, written_by)
         values (1, 1, $1, $2, 'first start', pg_current_xact_id())`,
        [now.systemIdentifier, now.timeline],
      );
      await tx.sql(
        `insert into generator (id, name, description, system, cluster_scoped)
         values ($1, $2, 'Stacks of the administrators', true, true)`,
        [uuid(), systemGenerator],
      );
      return 1n;
    }
    const floor = { epoch: 0n, order: 0n };
    if (row.systemIdentifier !== now.systemIdentifier || row.timeline !== now.timeline)
      return beginEpoch(tx, 'the database is another one than before', floor);
    if (row.isRestored) return beginEpoch(tx, 'the database was restored', floor);
    if (row.isUnmarked) await tx.sql('update installation set written_by = pg_current_xact_id()');
    return BigInt(row.epoch);
  });
}

/**
 * Begins a new epoch: every agent's next pull is a full one, and the removals that exist now are held until they are confirmed. The
 * epoch and all later orders are above `floor`, the highest that an agent has presented. Returns the epoch.
 */
export async function beginEpoch(
  tx: Transaction,
  reason: string,
  floor: { readonly epoch: bigint; readonly order: bigint },
): Promise<bigint> {
  const now = await readIdentity(tx);
  const [row] = await tx.sql<{ epoch: string }>(
    `update installation set epoch = greatest(epoch, $4::bigint) + 1, system_identifier = $1, timeline = $2, reason = $3,
       started_at = now(), written_by = pg_current_xact_id()
     returning epoch`,
    [now.systemIdentifier, now.timeline, reason, floor.epoch],
  );
  // Orders are drawn concurrently, so setting the sequence could set it back; it only ever leaps over the floor.
  await tx.sql(`select setval('order_seq', $1::bigint + $2) from order_seq where last_value <= $1::bigint`, [
    floor.order,
    orderLeap,
  ]);
  await tx.sql(`update placement set held = true, updated_at = now() where state = 'removing'`);
  await announce(tx, 'epoch', [uuid()]);
  return BigInt(row?.epoch ?? 0);
}

/** Reads the timeline from the current WAL file, since the control file has the old one until the first checkpoint after a promotion. */
async function readIdentity(tx: Sql): Promise<DatabaseIdentity> {
  const [row] = await tx.sql<DatabaseIdentity>(
    `select (select system_identifier from pg_control_system())::text as "systemIdentifier",
            ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text as timeline`,
  );
  return { systemIdentifier: row?.systemIdentifier ?? '', timeline: row?.timeline ?? '0' };
}
