import type { Database } from '../store/orm.ts';
import { validShortTokens } from './store.ts';

/**
 * Returns a function that answers whether a short token belongs to a valid key. All lookups that arrive while a read is running share
 * the next one, so a flood of made-up keys costs one statement at a time.
 */
export function createKeyLookup(db: Database): (short: string) => Promise<boolean> {
  let requested = new Set<string>();
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<ReadonlySet<string>> | undefined;
  const read = () => {
    const batch = [...requested];
    requested = new Set();
    next = undefined;
    const valid = validShortTokens(db, batch);
    running = valid.catch(() => {});
    return valid;
  };
  return async (short) => {
    requested.add(short);
    next ??= running.then(read);
    return (await next).has(short);
  };
}
