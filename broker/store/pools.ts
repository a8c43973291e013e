import type pg from 'pg';

/** What the connections of a pool are at. */
export interface PoolState {
  /** Whose connections: of the entity manager, or of plain and prepared statements. */
  readonly pool: 'entities' | 'statements';
  readonly total: number;
  readonly idle: number;
  /** What waits for a connection. */
  readonly waiting: number;
  readonly most: number;
}

/** Of this pool, which opens at most so many. */
export function stateOf(
  pool: PoolState['pool'],
  { totalCount, idleCount, waitingCount }: pg.Pool,
  most: number,
): PoolState {
  return { pool, total: totalCount, idle: idleCount, waiting: waitingCount, most };
}

/** The connections of all pools that were given to it. */
export interface Connections {
  /** Also sees to it that a connection which breaks while it is used does not end the process: its query says so. */
  follow(pool: pg.Pool): void;
  /** Ends each connection that the server at the other end of `client` does not know. What waits on it fails as when the server ends it. */
  endLost(client: pg.Client): Promise<void>;
}

/** Follows pools whose sessions are told to the server under this name. */
export function followConnections(applicationName: string): Connections {
  const open = new Set<pg.PoolClient & { readonly processID?: number | null }>();
  return {
    follow(pool) {
      pool.on('error', () => {});
      pool.on('connect', (client) => {
        // The pool listens to idle connections only.
        client.on('error', () => {});
        open.add(client);
      });
      pool.on('remove', (client) => void open.delete(client));
    },
    async endLost(client) {
      const before = [...open];
      const { rows } = await client.query<{ pid: number }>(
        'select pid from pg_stat_activity where application_name = $1',
        [applicationName],
      );
      const known = new Set(rows.map(({ pid }) => pid));
      for (const lost of before) {
        if (!known.has(lost.processID ?? 0))
          lost.connection.stream.destroy(new Error('Connection terminated: the server does not know it'));
      }
    },
  };
}
