import { pause } from './backoff.ts';

/** Lets one part wake another that waits. A wake-up that comes while nobody waits is kept for the next wait. */
export interface Wakeup {
  wake(): void;
  /** Discards a kept wake-up. */
  reset(): void;
  /** Waits for the next wake-up, at most `ms`, and until the signal aborts; never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createWakeup(): Wakeup {
  let woken = Promise.withResolvers<void>();
  const reset = () => {
    woken = Promise.withResolvers();
  };
  return {
    wake: () => woken.resolve(),
    reset,
    async wait(ms, signal) {
      await pause(ms, signal, woken.promise);
      reset();
    },
  };
}
