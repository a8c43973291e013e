import { pause } from './wait.ts';

export interface PollInterval {
  /** Longest time between two reads: hints may be lost. */
  readonly maxMs: number;
  /** Shortest time between two reads, however many hints arrive. */
  readonly minMs: number;
}

const pausePerRead = 9;

/**
 * Yields what `read` returns: at once, then after each hint and at least every `maxMs`, until the signal aborts. Reads take at most a
 * tenth of the time. `subscribe` receives the function to call for a hint and returns the one that unsubscribes; hints during a read
 * lead to the next one.
 */
export async function* poll<T>(
  subscribe: (hint: () => void) => () => void,
  read: () => Promise<T>,
  { maxMs, minMs }: PollInterval,
  ended: AbortSignal,
): AsyncGenerator<T> {
  let isHinted = false;
  let wakeup = Promise.withResolvers<void>();
  const unsubscribe = subscribe(() => {
    isHinted = true;
    wakeup.resolve();
  });
  try {
    while (!ended.aborted) {
      isHinted = false;
      const startedAt = performance.now();
      const result = await read();
      const readMs = performance.now() - startedAt;
      yield result;
      await pause(Math.max(minMs, readMs * pausePerRead), ended);
      if (!isHinted) await pause(maxMs, ended, wakeup.promise);
      wakeup = Promise.withResolvers();
    }
  } finally {
    unsubscribe();
  }
}
