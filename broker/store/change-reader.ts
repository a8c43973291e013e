import type pg from 'pg';
import type { Database } from './database.ts';
import { sqlState } from './errors.ts';
import { pause, withTimeout } from './wait.ts';

export type ChangeKind = 'stack' | 'agent' | 'key' | 'epoch' | 'diagnostic';

export interface Change {
  readonly kind: ChangeKind;
  /**
   * Id of the stack, agent or key; any id for an epoch. For a diagnostic, the id of the agent that is asked, or of the diagnostic that
   * was answered.
   */
  readonly ref: string;
}

/** Reads the change feed over a database connection of its own. */
export interface ChangeReader {
  /**
   * Reads the changes that the previous read could not see yet. Undefined after a new connection or a long pause: changes may have been
   * missed. Connects when there is no connection; rejects when the database does not answer.
   */
  read(): Promise<readonly Change[] | undefined>;
  /** When the last successful read was, in milliseconds of `performance.now`. */
  lastReadAt(): number;
  /** Drops the connection, so that the next read opens another. */
  disconnect(): void;
  /** Ends the connection and waits for it, for at most a second: a frozen database never answers. */
  close(): Promise<void>;
}

/** Below the retention of `change` rows (1 h): rows that an older snapshot did not see may be deleted by now. */
const snapshotLifeMs = 50 * 60_000;
/** A half-open connection never answers. */
const readTimeoutMs = 2_000;
const connectTimeoutMs = 15_000;
const closeTimeoutMs = 1_000;

/** Without a snapshot it reads no rows, only the snapshot from which the next read goes on. */
const readSql = `
  select pg_current_snapshot()::text as snapshot, current_setting('transaction_read_only') = 'on' as "isReadOnly", c.kind, c.ref
  from (select $1::pg_snapshot as before) as last
  left join change c on c.xid >= pg_snapshot_xmin($1::pg_snapshot) and not pg_visible_in_snapshot(c.xid, $1::pg_snapshot)`;

/** SQLSTATE of a statement that writes while the database is read-only. */
const readOnlyState = '25006';

/** Opens a connection that listens, and prepares it for reads. `wasReadOnly` tells that the previous one led to a read-only database. */
type Connect = (wasReadOnly: boolean) => Promise<pg.Client>;

/**
 * Creates a reader. Each read takes the changes that the snapshot of the previous read could not see, so that every change is read
 * once, whatever the order of commits and whether or not its NOTIFY arrived. A read-only database (a standby, or a primary that was
 * replaced) counts as one that does not answer.
 */
export function createChangeReader(connect: Connect): ChangeReader {
  let client: pg.Client | undefined;
  /** Snapshot of the last read on this connection. Another connection may lead to another database, with other transaction ids. */
  let snapshot: string | undefined;
  let lastReadAt = Number.NEGATIVE_INFINITY;
  let wasReadOnly = false;

  const connected = async () => {
    if (client) return client;
    snapshot = undefined;
    const connecting = connect(wasReadOnly);
    client = await withTimeout(connecting, connectTimeoutMs).catch((error: unknown) => {
      connecting.then((late) => late.end()).catch(() => {});
      throw error;
    });
    return client;
  };

  const readChanges = async () => {
    const connection = await connected();
    const before = performance.now() - lastReadAt < snapshotLifeMs ? snapshot : undefined;
    // One statement has one snapshot: the rows, and the snapshot from which the next read goes on, belong together.
    const { rows } = await withTimeout(
      connection.query<{ snapshot: string; isReadOnly: boolean; kind: ChangeKind | null; ref: string }>(readSql, [
        before ?? null,
      ]),
      readTimeoutMs,
    );
    if (rows[0]?.isReadOnly) throw Object.assign(new Error('the database is read-only'), { code: readOnlyState });
    snapshot = rows[0]?.snapshot;
    lastReadAt = performance.now();
    return before === undefined ? undefined : rows.filter((row): row is typeof row & Change => row.kind !== null);
  };

  return {
    async read() {
      try {
        const changes = await readChanges();
        wasReadOnly = false;
        return changes;
      } catch (error) {
        wasReadOnly ||= sqlState(error) === readOnlyState;
        throw error;
      }
    },
    lastReadAt: () => lastReadAt,
    disconnect() {
      void client?.end().catch(() => {});
      client = undefined;
    },
    async close() {
      if (client) await Promise.race([client.end().catch(() => {}), pause(closeTimeoutMs)]);
    },
  };
}

/** Connects and listens to channels; `prepare` runs before the first read. */
export async function connectListening(
  db: Database,
  channels: readonly string[],
  listener: { message(channel: string, payload: string): void; ended(): void },
  prepare: (client: pg.Client) => Promise<void>,
): Promise<pg.Client> {
  const client = await db.connect();
  client.on('notification', ({ channel, payload = '' }) => listener.message(channel, payload));
  client.on('end', () => listener.ended());
  try {
    for (const channel of channels) await client.query(`listen ${channel}`);
    await prepare(client);
    return client;
  } catch (error) {
    void client.end().catch(() => {});
    throw error;
  }
}
