/** Limits how much work runs at once. The rest waits in order, except that small work may start beside something heavy that waits. */
export interface Semaphore {
  /**
   * Runs `work` once there is room for its weight, at most the whole limit. Rejects without running it when the signal aborts while
   * it waits.
   */
  run<Result>(work: () => Promise<Result>, signal?: AbortSignal, weight?: number): Promise<Result>;
}

interface Waiting {
  readonly weight: number;
  /** Number of later calls that were started while this one was the first to wait. */
  overtaken: number;
  start(): void;
}

/** Number of times that heavy work is overtaken before all others wait for it. */
const maxOvertaken = 16;

export interface LendOptions {
  /** Milliseconds after which work that still runs gives its room to others, and goes on. */
  readonly afterMs: number;
  /** Sum of the weights that may run beside the limit in this way. */
  readonly most: number;
}

/** Creates a semaphore. `lend` keeps a few slow calls from blocking all others. */
export function createSemaphore(size: number, lend: LendOptions = { afterMs: 0, most: 0 }): Semaphore {
  const room = createRoom(size);
  let lent = 0;
  /** Slow work that still takes room, because nothing more may be lent. */
  const overdue = new Set<() => void>();
  return {
    async run(work, signal, weight = 1) {
      await room.enter(weight, signal);
      let isLent = false;
      const giveWay = () => {
        if (lent + weight > lend.most) {
          overdue.add(giveWay);
          return;
        }
        overdue.delete(giveWay);
        isLent = true;
        lent += weight;
        room.leave(weight);
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
        } else room.leave(weight);
      }
    },
  };
}

function createRoom(size: number) {
  let used = 0;
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
  const wait = (weight: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
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
  return {
    /** Takes room for the weight. Returns undefined when there is room at once. */
    enter(weight: number, signal?: AbortSignal): Promise<void> | undefined {
      signal?.throwIfAborted();
      if (waiting.size > 0 || used + weight > size) return wait(weight, signal);
      used += weight;
      return undefined;
    },
    leave(weight: number) {
      used -= weight;
      startNext();
    },
  };
}

/**
 * Carries out `work` for each item, at most `size` at once, and returns the results in the items' order. Rejects with the first
 * rejection, once everything that was begun has settled.
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
