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
