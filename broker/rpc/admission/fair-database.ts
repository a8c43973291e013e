import type { Database } from '../../store/database.ts';
import { currentCall } from '../call.ts';
import { createFairQueue } from './queue.ts';

/** Maximum share of each connection pool per caller: the rest serves others without a wait. */
const maxCallerShare = 0.75;
/** High enough never to be reached: calls and streams are bounded before they reach the database. */
const maxWaitingPerCaller = 10_000;

/**
 * Wraps the database for work done in calls: all calls and streams of one caller together use at most its share of each pool, and
 * further statements of that caller queue. Work outside calls runs unlimited, so the broker's own jobs take the database as it is.
 */
export function createFairDatabase(db: Database): Database {
  const smallestPool = Math.min(...db.pools().map(({ max }) => max));
  const maxRunningPerCaller = Math.max(1, Math.floor(smallestPool * maxCallerShare));
  // The pools themselves bound the total.
  const makeQueue = () =>
    createFairQueue({ maxRunning: Number.POSITIVE_INFINITY, maxRunningPerCaller, maxWaitingPerCaller });
  const queues = { statements: makeQueue(), entities: makeQueue() };
  const share = <T>(pool: keyof typeof queues, work: () => Promise<T>): Promise<T> => {
    const caller = currentCall()?.caller;
    return caller ? queues[pool].run(caller.ownerId, 'single', caller.lifetime, work) : work();
  };
  return {
    ...db,
    transact: (work) => share('entities', () => db.transact(work)),
    transactPrepared: (work) => share('statements', () => db.transactPrepared(work)),
    read: (...call) => share('statements', () => db.read(...call)),
    sql: (...call) => share('statements', () => db.sql(...call)),
  };
}
