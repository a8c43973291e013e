import { createWakeup } from './wakeup.ts';

/** Keys whose values have changed: producers add them, and one consumer takes and reads them. Each key is in the set once. */
export interface ChangeSet extends Iterable<string> {
  add(key: string): void;
  delete(key: string): void;
  readonly size: number;
  /** Waits until a key is added, at most `ms`, and until the signal aborts; never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createChangeSet(): ChangeSet {
  const keys = new Set<string>();
  const { wake, wait } = createWakeup();
  return {
    add(key) {
      keys.add(key);
      wake();
    },
    delete: (key) => void keys.delete(key),
    get size() {
      return keys.size;
    },
    wait,
    [Symbol.iterator]: () => keys[Symbol.iterator](),
  };
}
