import { v7 as uuid } from 'uuid';
import { announce } from './feed.ts';
import type { Database, Tx } from './orm.ts';

/** Name of the generator that owns what admins deploy; every agent is registered with it. */
export const systemGenerator = 'system';

/** More orders than are drawn while an epoch begins. */
const orderLeap = 1_000_000;

interface Identity {
  readonly systemIdentifier: string;
  readonly timeline: string;
}

/**
 * Makes the installation's rows on the first start; later, starts a new epoch when the database is another one than at the last
 * look (another system identifier or timeline: a restored backup, a promoted standby). Returns the epoch.
 */
export async function checkInstallation(db: Database): Promise<bigint> {
  return db.transact(async (tx) => {
    await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr installation ' || current_schema(), 0))`);
    const now = await identity(tx);
    const [row] = await tx.sql<{ epoch: string; system_identifier: string; timeline: string }>(
      'select * from installation',
    );
    if (!row) {
      await tx.sql(
        `insert into installation (id, epoch, system_identifier, timeline, reason) values (1, 1, $1, $2, 'first start')`,
        [now.systemIdentifier, now.timeline],
      );
      await tx.sql(
        `insert into generator (id, name, description, system, cluster_scoped)
         values ($1, $2, 'Stacks of the administrators', true, true)`,
        [uuid(), systemGenerator],
      );
      return 1n;
    }
    if (row.system_identifier === now.systemIdentifier && row.timeline === now.timeline) return BigInt(row.epoch);
    return beginEpoch(tx, 'the database is another one than before', { epoch: 0n, order: 0n });
  });
}

/**
 * Starts a new epoch: after it, every agent's first pull is a full one, and removals that exist now are held until they are
 * confirmed. The epoch and later orders are above `floor`, the highest that any agent has presented.
 */
export async function beginEpoch(
  tx: Tx,
  reason: string,
  floor: { readonly epoch: bigint; readonly order: bigint },
): Promise<bigint> {
  const now = await identity(tx);
  const [row] = await tx.sql<{ epoch: string }>(
    `update installation set epoch = greatest(epoch, $4::bigint) + 1, system_identifier = $1, timeline = $2, reason = $3, started_at = now()
     returning epoch`,
    [now.systemIdentifier, now.timeline, reason, floor.epoch],
  );
  // Orders are drawn all the time, and setting the sequence while they are could set it back: it only ever leaps over the floor.
  await tx.sql(`select setval('order_seq', $1::bigint + $2) from order_seq where last_value <= $1::bigint`, [
    floor.order,
    orderLeap,
  ]);
  await tx.sql(`update placement set held = true, updated_at = now() where state = 'removing'`);
  await announce(tx, 'epoch', [uuid()]);
  return BigInt(row?.epoch ?? 0);
}

/** The timeline of the log that is being written: the control file says the old one until the first checkpoint after a promotion. */
async function identity(tx: Tx): Promise<Identity> {
  const [row] = await tx.sql<{ system_identifier: string; timeline: string }>(
    `select (select system_identifier from pg_control_system())::text as system_identifier,
            ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text as timeline`,
  );
  return { systemIdentifier: row?.system_identifier ?? '', timeline: row?.timeline ?? '0' };
}
