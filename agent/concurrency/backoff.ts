import { setTimeout as delay } from 'node:timers/promises';

export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Full jitter: anywhere between nothing and an exponentially growing limit, so that many agents do not come back at once. */
export function jittered({ baseMs, maxMs }: Backoff, attempt: number): number {
  return Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
}

/** Between two attempts to reach the broker or the cluster. */
export const usualRetry: Backoff = { baseMs: 500, maxMs: 30_000 };

/** How long to wait before something is tried again. Never zero: what fails at once is not to be asked all the time. */
export function retryMs(retry: Backoff, attempt: number): number {
  return retry.baseMs / 4 + jittered(retry, attempt);
}

/** Waits; rejects as soon as the signal aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(Math.max(0, ms), undefined, { signal });
}

/** What the work comes to; rejects as soon as the signal aborts, and the work goes on unheard. */
export async function heeding<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
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

/** Waits until the time is over, the signal aborts or `wake` settles; never rejects. */
export async function pause(ms: number, signal: AbortSignal, wake?: Promise<void>): Promise<void> {
  const end = new AbortController();
  const timer = delay(Math.max(0, ms), undefined, { signal: AbortSignal.any([signal, end.signal]) }).catch(() => {});
  await Promise.race(wake ? [timer, wake] : [timer]);
  end.abort();
}
