import { setTimeout as delay } from 'node:timers/promises';

export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Returns a random delay between 0 and an exponentially growing limit (full jitter), so that many agents do not return at once. */
export function jittered({ baseMs, maxMs }: Backoff, attempt: number): number {
  return Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
}

/** Delays between two attempts to reach the broker or the cluster. */
export const defaultBackoff: Backoff = { baseMs: 500, maxMs: 30_000 };

/** Returns the delay before a retry in milliseconds. Never zero, so that what fails at once is not retried in a tight loop. */
export function retryMs(retry: Backoff, attempt: number): number {
  return retry.baseMs / 4 + jittered(retry, attempt);
}

/** Waits `ms`; rejects as soon as the signal aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(Math.max(0, ms), undefined, { signal });
}

/** Settles as `work` does, but rejects as soon as the signal aborts; the work then continues and its outcome is ignored. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Waits until `ms` have passed, the signal aborts or `wake` settles; never rejects. */
export async function pause(ms: number, signal: AbortSignal, wake?: Promise<void>): Promise<void> {
  const end = new AbortController();
  const timer = delay(Math.max(0, ms), undefined, { signal: AbortSignal.any([signal, end.signal]) }).catch(() => {});
  await Promise.race(wake ? [timer, wake] : [timer]);
  end.abort();
}
