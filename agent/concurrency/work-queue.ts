import { type Backoff, retryMs } from './backoff.ts';
import { createSemaphore } from './semaphore.ts';

/**
 * Keys that wait to be processed, in the manner of client-go's work queues. Each key is in the queue at most once and is processed by
 * one worker at a time; a key that is added while it is processed is processed once more afterwards.
 */
export interface WorkQueue {
  /** Makes the key due now, whatever delay it had. */
  add(key: string): void;
  /** Makes the key due after the delay, unless it is due sooner already. */
  addAfter(key: string, delayMs: number): void;
  /** Makes the key due after its backoff, which grows with each call until `forget`. */
  addRateLimited(key: string): void;
  /** Resets the key's backoff. */
  forget(key: string): void;
  /** Returns whether the key is due now: for a key that is being processed, whether it will be processed once more at once. */
  isDue(key: string): boolean;
  /** Starts processing; keys that were added before have waited for this. */
  start(work: Work): void;
  /** Drops every key that waits, ignores further ones, and resolves when nothing is being processed any more. */
  close(): Promise<void>;
}

/** Processes one key. A rejection adds the key again, rate limited. */
export type Work = (key: string) => Promise<void>;

export interface WorkQueueOptions {
  /** Sum of the costs of the keys that are processed at once. */
  readonly capacity: number;
  /** Cost of processing a key, asked when the key becomes due; default 1, and never more than the capacity. */
  readonly costOf?: (key: string) => number;
  readonly backoff: Backoff;
  /** Called when processing a key rejects. */
  readonly failed: (key: string, error: unknown) => void;
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const closing = new AbortController();
  const due = new Set<string>();
  const rates = createRateLimiter(options.backoff);
  let worker: Work | undefined;

  const add = (key: string) => {
    delays.cancel(key);
    if (closing.signal.aborted || due.has(key)) return;
    due.add(key);
    if (worker) pool.process(key, worker);
  };
  const addAfter = (key: string, delayMs: number) => {
    if (!closing.signal.aborted && !due.has(key)) delays.schedule(key, delayMs);
  };
  const addRateLimited = (key: string) => addAfter(key, rates.next(key));
  const failed = (key: string, error: unknown) => {
    options.failed(key, error);
    addRateLimited(key);
  };
  const delays = createDelays(add);
  const pool = createPool({ ...options, failed }, due, closing.signal);

  return {
    add,
    addAfter,
    addRateLimited,
    forget: rates.forget,
    isDue: (key) => due.has(key),
    start(work) {
      worker = work;
      for (const key of due) pool.process(key, work);
    },
    async close() {
      closing.abort(new Error('the queue is closed'));
      delays.clear();
      due.clear();
      await pool.idle();
    },
  };
}

/** Processes due keys within the capacity, each by one worker at a time. The signal rejects those that wait for capacity. */
function createPool({ capacity, costOf = () => 1, failed }: WorkQueueOptions, due: Set<string>, signal: AbortSignal) {
  const limit = createSemaphore(capacity);
  /** Keys that wait for capacity or are being processed. */
  const active = new Map<string, Promise<void>>();
  const process = (key: string, work: Work) => {
    if (active.has(key)) return;
    const begin = () => {
      due.delete(key);
      return work(key);
    };
    const done = limit
      .run(begin, signal, Math.min(capacity, costOf(key)))
      .catch((error: unknown) => {
        if (!signal.aborted) failed(key, error);
      })
      .finally(() => {
        active.delete(key);
        if (due.has(key)) process(key, work);
      });
    active.set(key, done);
  };
  return { process, idle: () => Promise.all(active.values()) };
}

/** Counts the failures of each key, and answers how long to wait after the next one in milliseconds. */
function createRateLimiter(backoff: Backoff) {
  const failures = new Map<string, number>();
  return {
    next(key: string): number {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      return retryMs(backoff, count);
    },
    forget: (key: string) => void failures.delete(key),
  };
}

/** One timer for each key; the earliest of several times counts. */
function createDelays(elapsed: (key: string) => void) {
  const timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly dueAt: number }>();
  const cancel = (key: string) => {
    clearTimeout(timers.get(key)?.timer);
    timers.delete(key);
  };
  return {
    schedule(key: string, delayMs: number) {
      const dueAt = performance.now() + delayMs;
      const earlier = timers.get(key);
      if (earlier && earlier.dueAt <= dueAt) return;
      cancel(key);
      timers.set(key, { timer: setTimeout(elapsed, delayMs, key), dueAt });
    },
    cancel,
    clear() {
      for (const key of [...timers.keys()]) cancel(key);
    },
  };
}
