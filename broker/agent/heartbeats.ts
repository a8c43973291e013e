import type { Logger } from 'pino';
import type { Database } from '../store/orm.ts';
import { writeHeartbeats } from './store.ts';

/** Collects heartbeats and writes them together. */
export interface Heartbeats {
  /** Notes that an agent lives. Whether its incarnation is the current one is checked again when it is written. */
  beat(agentId: string, incarnation: bigint): void;
  close(): Promise<void>;
}

const writeEveryMs = 1_000;

/** Writes at most one statement a second, however many agents there are. */
export function createHeartbeats(db: Database, log: Logger): Heartbeats {
  let pending = new Map<string, bigint>();
  let writing: Promise<void> = Promise.resolve();
  const write = async () => {
    if (pending.size === 0) return;
    const beats = pending;
    pending = new Map();
    // Lost ones are not written later: the next is due in 30 s, and a late one would show a dead agent as alive.
    await writeHeartbeats(db, beats).catch((error: unknown) =>
      log.warn({ err: String(error), count: beats.size }, 'could not write heartbeats'),
    );
  };
  const writeNext = () => {
    writing = writing.then(write);
  };
  const timer = setInterval(writeNext, writeEveryMs);
  return {
    beat(agentId, incarnation) {
      const before = pending.get(agentId) ?? 0n;
      pending.set(agentId, incarnation > before ? incarnation : before);
    },
    async close() {
      clearInterval(timer);
      writeNext();
      await writing;
    },
  };
}
