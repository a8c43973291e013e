import type { Logger } from 'pino';
import type { Database } from '../store/orm.ts';
import { writeLastUse } from './store.ts';

const flushEveryMs = 10_000;
const noteEveryMs = 60_000;

/** Writes when keys were last used: each key at most once a minute, all of them in one statement every 10 s. */
export function createLastUsedWriter(db: Database, log: Logger, now: () => Date) {
  const notedAt = new Map<string, number>();
  let pending = new Map<string, Date>();
  const flush = async () => {
    const oldest = now().getTime() - noteEveryMs;
    for (const [keyId, at] of notedAt) if (at < oldest) notedAt.delete(keyId);
    if (pending.size === 0) return;
    const lastUses = pending;
    pending = new Map();
    await writeLastUse(db, lastUses).catch((error: unknown) =>
      log.warn({ err: String(error) }, 'could not write when keys were last used'),
    );
  };
  const timer = setInterval(() => void flush(), flushEveryMs);
  return {
    note(keyId: string) {
      const usedAt = now();
      if (usedAt.getTime() - (notedAt.get(keyId) ?? 0) < noteEveryMs) return;
      notedAt.set(keyId, usedAt.getTime());
      pending.set(keyId, usedAt);
    },
    async close() {
      clearInterval(timer);
      await flush();
    },
  };
}
