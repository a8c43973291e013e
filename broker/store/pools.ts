import type pg from 'pg';

/** Counts of a pool's connections, and of the callers that wait for one. */
export interface PoolState {
  /** Used by the entity manager, or by plain and prepared statements. */
  readonly pool: 'entities' | 'statements';
  readonly total: number;
  readonly idle: number;
  /** Callers that wait for a connection. */
  readonly waiting: number;
  readonly max: number;
}

export function poolState(
  pool: PoolState['pool'],
  { totalCount, idleCount, waitingCount }: pg.Pool,
  max: number,
): PoolState {
  return { pool, total: totalCount, idle: idleCount, waiting: waitingCount, max };
}

/** Tracks the open connections of pools. */
export interface ConnectionTracker {
  /** Tracks a pool, and keeps a connection that breaks in use from ending the process; its query fails anyway. */
  track(pool: pg.Pool): void;
  /** Ends the connections that the server of `client` does not know. Their queries fail as if the server had ended them. */
  endLost(client: pg.Client): Promise<void>;
  /** Ends all of them. */
  endAll(): void;
}

/** Creates a tracker of pools whose sessions have this application name on the server. */
export function createConnectionTracker(applicationName: string): ConnectionTracker {
  const open = new Set<pg.PoolClient & { readonly processID?: number | null }>();
  return {
    track(pool) {
      pool.on('error', () => {});
      pool.on('connect', (client) => {
        // The pool handles errors of idle connections only.
        client.on('error', () => {});
        open.add(client);
      });
      pool.on('remove', (client) => void open.delete(client));
    },
    async endLost(client) {
      // Connections that are opened during the query may be missing from its result.
      const candidates = [...open];
      const { rows } = await client.query<{ pid: number }>(
        'select pid from pg_stat_activity where application_name = $1',
        [applicationName],
      );
      const known = new Set(rows.map(({ pid }) => pid));
      for (const connection of candidates)
        if (!known.has(connection.processID ?? 0)) destroy(connection, 'the server does not know it');
    },
    endAll() {
      for (const connection of open) destroy(connection, 'the database was read-only');
    },
  };
}

function destroy({ connection }: pg.PoolClient, reason: string): void {
  connection.stream.destroy(new Error(`Connection terminated: ${reason}`));
}
