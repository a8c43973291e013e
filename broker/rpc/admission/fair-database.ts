import type { Database } from '../../store/orm.ts';
import { currentCall } from '../interceptors/call.ts';
import { createFairQueue } from './queue.ts';

/** Of each pool of connections, so much is one caller's at most: what is left answers others without a wait. */
const maxCallerShare = 0.75;
/** Calls and streams are bounded before they come to the database. */
const maxWaitingPerCaller = 10_000;

/**
 * The same database for what is done for callers: whatever a caller's calls, streams and pulls ask for, it holds no more than its
 * share of each pool, and waits for its own statements first. What the broker does by itself, or for all, needs the database as it is.
 */
export function createFairDatabase(db: Database): Database {
  const smallestPool = Math.min(...db.pools().map(({ most }) => most));
  const maxRunningPerCaller = Math.max(1, Math.floor(smallestPool * maxCallerShare));
  // How many run in all is for the pools to say.
  const makeQueue = () => createFairQueue({ maxRunning: Number.POSITIVE_INFINITY, maxRunningPerCaller, maxWaitingPerCaller });
  const queues = { statements: makeQueue(), entities: makeQueue() };
  const share = <T>(pool: keyof typeof queues, work: () => Promise<T>): Promise<T> => {
    const caller = currentCall()?.caller;
    return caller ? queues[pool].run(caller.ownerId, 'single', caller.signal, work) : work();
  };
  return {
    ...db,
    transact: (work) => share('entities', () => db.transact(work)),
    transactPrepared: (work) => share('statements', () => db.transactPrepared(work)),
    read: (...call) => share('statements', () => db.read(...call)),
    sql: (...call) => share('statements', () => db.sql(...call)),
  };
}
