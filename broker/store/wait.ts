/** Waits for at most `ms`, until the signal aborts or until `sooner` is settled. It leaves no timer or listener behind. */
export function pause(ms: number, signal?: AbortSignal, sooner?: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal?.aborted) return done();
    signal?.addEventListener('abort', done, { once: true });
    void sooner?.then(done);
  });
}

/** Waits for work, and rejects when it takes longer than `ms`. The work itself goes on; its result is ignored. */
export async function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error(`no answer within ${ms} ms`)), ms);
  work.catch(() => {});
  try {
    return await Promise.race([work, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Wakes those who wait. A wake-up counts until the next reset, so one that comes before the wait is not lost. */
export interface Wakeup {
  wake(): void;
  woken(): Promise<void>;
  reset(): void;
}

export function createWakeup(): Wakeup {
  let current = Promise.withResolvers<void>();
  return {
    wake: () => current.resolve(),
    woken: () => current.promise,
    reset: () => {
      current = Promise.withResolvers();
    },
  };
}
