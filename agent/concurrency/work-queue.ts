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
  /** Tells whether the key is due now: for a key that is being processed, whether it will be processed once more at once. */
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

export function createWorkQueue({ capacity, costOf = () => 1, backoff, failed }: WorkQueueOptions): WorkQueue {
  const limit = createSemaphore(capacity);
  const closing = new AbortController();
  const due = new Set<string>();
  /** Keys that wait for capacity or are being processed. */
  const active = new Map<string, Promise<void>>();
  const failures = new Map<string, number>();
  let worker: Work | undefined;

  const add = (key: string) => {
    delays.cancel(key);
    if (closing.signal.aborted || due.has(key)) return;
    due.add(key);
    if (worker && !active.has(key)) activate(key, worker);
  };
  const addAfter = (key: string, delayMs: number) => {
    if (!closing.signal.aborted && !due.has(key)) delays.schedule(key, delayMs);
  };
  const addRateLimited = (key: string) => {
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    addAfter(key, retryMs(backoff, count));
  };
  const activate = (key: string, work: Work) => {
    const begin = () => {
      due.delete(key);
      return work(key);
    };
    const done = limit
      .run(begin, closing.signal, Math.min(capacity, costOf(key)))
      .catch((error: unknown) => {
        if (closing.signal.aborted) return;
        failed(key, error);
        addRateLimited(key);
      })
      .finally(() => {
        active.delete(key);
        if (due.has(key)) activate(key, work);
      });
    active.set(key, done);
  };
  const delays = createDelays(add);

  return {
    add,
    addAfter,
    addRateLimited,
    forget: (key) => void failures.delete(key),
    isDue: (key) => due.has(key),
    start(work) {
      worker = work;
      for (const key of due) activate(key, work);
    },
    async close() {
      closing.abort(new Error('the queue is closed'));
      delays.clear();
      due.clear();
      await Promise.all(active.values());
    },
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
