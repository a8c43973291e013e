import type { Database } from '../store/database.ts';
import { liveShorts } from './store.ts';

/**
 * Tells whether a short token is that of a live key. All that ask while a read is under way share the next one: a flood of keys
 * that somebody made up is one statement at a time.
 */
export function createShorts(db: Database): (short: string) => Promise<boolean> {
  let asked = new Set<string>();
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<ReadonlySet<string>> | undefined;
  const read = () => {
    const shorts = [...asked];
    asked = new Set();
    next = undefined;
    const found = liveShorts(db, shorts);
    running = found.catch(() => {});
    return found;
  };
  return async (short) => {
    asked.add(short);
    next ??= running.then(read);
    return (await next).has(short);
  };
}
