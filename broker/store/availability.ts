import { type Refusal, silentDatabase } from '../refusal.ts';
import type { Feed } from './feed.ts';
import type { Database } from './orm.ts';

/** How often it is looked whether the database is gone. */
const lookMs = 250;

/**
 * The same database, but what waits for it is refused with UNAVAILABLE once the feed says that it is gone: a server that is frozen or
 * unreachable never answers. A transaction that was given up so may still commit; its caller does not know. `close` closes the
 * database.
 */
export function guardDatabase(db: Database, feed: Feed): Database {
  const waiting = new Set<(error: Refusal) => void>();
  const timer = setInterval(() => {
    if (waiting.size > 0 && !feed.available()) for (const reject of waiting) reject(silentDatabase());
  }, lookMs);
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
