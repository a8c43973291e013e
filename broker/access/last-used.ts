import type { Logger } from 'pino';
import type { Database } from '../store/database.ts';
import { writeLastUse } from './store.ts';

const flushEveryMs = 10_000;
const noteEveryMs = 60_000;

/** Writes when keys were used: each at most once a minute, all of them in one statement every 10 s. */
export function createUses(db: Database, log: Logger, now: () => Date) {
  const noted = new Map<string, number>();
  let pending = new Map<string, Date>();
  const flush = async () => {
    const oldest = now().getTime() - noteEveryMs;
    for (const [keyId, at] of noted) if (at < oldest) noted.delete(keyId);
    if (pending.size === 0) return;
    const uses = pending;
    pending = new Map();
    await writeLastUse(db, uses).catch((error: unknown) =>
      log.warn({ err: String(error) }, 'could not write when keys were last used'),
    );
  };
  const timer = setInterval(() => void flush(), flushEveryMs);
  return {
    note(keyId: string) {
      const at = now();
      if (at.getTime() - (noted.get(keyId) ?? 0) < noteEveryMs) return;
      noted.set(keyId, at.getTime());
      pending.set(keyId, at);
    },
    async close() {
      clearInterval(timer);
      await flush();
    },
  };
}
