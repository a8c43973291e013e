/** Lets at most some calls run at once; the others wait in order, but for those that fit in beside a heavier one. */
export interface Semaphore {
  /** Rejects, without running, when the signal aborts while it waits. `weight` is how much of the limit it takes; at most all. */
  run<Result>(work: () => Promise<Result>, signal?: AbortSignal, weight?: number): Promise<Result>;
}

interface Waiting {
  readonly weight: number;
  /** How many that came later were started while it was the first to wait. */
  overtaken: number;
  start(): void;
}

/** How often what is too heavy for now is overtaken, before all others wait for it. */
const maxOvertaken = 16;

export interface LendOptions {
  /** What has run for so long gives its place to others, and goes on. */
  readonly afterMs: number;
  /** How much may run beside the limit so. */
  readonly most: number;
}

/** With `lend`, a few that are slow do not keep all others waiting. */
export function createSemaphore(size: number, lend: LendOptions = { afterMs: 0, most: 0 }): Semaphore {
  let used = 0;
  let lent = 0;
  /** Slow, and still in their places. */
  const overdue = new Set<() => void>();
  const waiting = new Set<Waiting>();
  const startNext = () => {
    let first: Waiting | undefined;
    for (const next of waiting) {
      if (used >= size || (first && first.overtaken >= maxOvertaken)) return;
      if (used + next.weight > size) {
        first ??= next;
        continue;
      }
      if (first) first.overtaken += 1;
      waiting.delete(next);
      next.start();
    }
  };
  const enter = (weight: number, signal?: AbortSignal): Promise<void> | undefined => {
    signal?.throwIfAborted();
    if (waiting.size === 0 && used + weight <= size) {
      used += weight;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        waiting.delete(entry);
        reject(signal?.reason);
        startNext();
      };
      const entry: Waiting = {
        weight,
        overtaken: 0,
        start: () => {
          signal?.removeEventListener('abort', abort);
          used += weight;
          resolve();
        },
      };
      waiting.add(entry);
      signal?.addEventListener('abort', abort, { once: true });
      startNext();
    });
  };
  return {
    async run(work, signal, weight = 1) {
      await enter(weight, signal);
      let isLent = false;
      const giveWay = () => {
        if (lent + weight > lend.most) return void overdue.add(giveWay);
        overdue.delete(giveWay);
        isLent = true;
        lent += weight;
        used -= weight;
        startNext();
      };
      const timer = lend.most > 0 ? setTimeout(giveWay, lend.afterMs) : undefined;
      try {
        return await work();
      } finally {
        clearTimeout(timer);
        overdue.delete(giveWay);
        if (isLent) {
          lent -= weight;
          for (const next of overdue) next();
        } else {
          used -= weight;
          startNext();
        }
      }
    },
  };
}

/**
 * Carries out `work` for each item, at most `size` at once, and answers in the items' order. Ends early, with the first
 * rejection, only after what was begun has settled.
 */
export async function mapConcurrent<Item, Result>(
  items: readonly Item[],
  size: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  const failures: unknown[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(size, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
