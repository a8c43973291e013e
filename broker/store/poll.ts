import { pause } from './wait.ts';

export interface Pace {
  /** Even without a hint, it is read again this often: hints may be lost. */
  readonly rereadMs: number;
  /** The shortest time between two reads, however many hints come. */
  readonly pauseMs: number;
}

const pausePerRead = 9;

/**
 * What `read` answers: at once, then after a hint, and every `rereadMs` without one, until the signal aborts. Reads never take more
 * than a tenth of the time. `subscribe` is given what a hint calls, and answers with what ends it; hints during a read count for the
 * next one.
 */
export async function* readAgain<T>(
  subscribe: (hint: () => void) => () => void,
  read: () => Promise<T>,
  { rereadMs, pauseMs }: Pace,
  ended: AbortSignal,
): AsyncGenerator<T> {
  let hinted = false;
  let wake = Promise.withResolvers<void>();
  const unsubscribe = subscribe(() => {
    hinted = true;
    wake.resolve();
  });
  try {
    while (!ended.aborted) {
      hinted = false;
      const startedAt = performance.now();
      const answer = await read();
      const readMs = performance.now() - startedAt;
      yield answer;
      await pause(Math.max(pauseMs, readMs * pausePerRead), ended);
      if (!hinted) await pause(rereadMs, ended, wake.promise);
      wake = Promise.withResolvers();
    }
  } finally {
    unsubscribe();
  }
}
