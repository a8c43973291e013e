import { type Refusal, silentDatabase } from '../refusal.ts';
import type { Database } from './database.ts';
import type { Feed } from './feed.ts';

const checkEveryMs = 250;

/**
 * Wraps a database so that callers get UNAVAILABLE while the feed says that it does not answer: a server that is frozen or unreachable
 * never fails on its own. A transaction that was given up in this way may still commit, so its caller does not know the outcome.
 * `close` closes the database.
 */
export function failWhileUnavailable(db: Database, feed: Feed): Database {
  const waiting = new Set<(error: Refusal) => void>();
  const timer = setInterval(() => {
    if (waiting.size > 0 && !feed.available()) for (const reject of waiting) reject(silentDatabase());
  }, checkEveryMs);
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!feed.available()) throw silentDatabase();
    const { promise, reject } = Promise.withResolvers<never>();
    waiting.add(reject);
    try {
      return await Promise.race([work(), promise]);
    } finally {
      waiting.delete(reject);
    }
  };
  return {
    ...db,
    transact: (work) => guard(() => db.transact(work)),
    transactPrepared: (work) => guard(() => db.transactPrepared(work)),
    read: (...call) => guard(() => db.read(...call)),
    sql: (...call) => guard(() => db.sql(...call)),
    async close() {
      clearInterval(timer);
      await db.close();
    },
  };
}
