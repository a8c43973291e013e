/** Lets at most some calls run at once; the others wait in order. */
export interface Limit {
  /** Rejects, without running, when the signal aborts while it waits. */
  run<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result>;
}

export function createLimit(size: number): Limit {
  let running = 0;
  const waiting = new Set<() => void>();
  const leave = () => {
    running -= 1;
    const [next] = waiting;
    if (next) {
      waiting.delete(next);
      next();
    }
  };
  const enter = (signal?: AbortSignal): Promise<void> | undefined => {
    signal?.throwIfAborted();
    if (running < size) {
      running += 1;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        waiting.delete(start);
        reject(signal?.reason);
      };
      const start = () => {
        signal?.removeEventListener('abort', abort);
        running += 1;
        resolve();
      };
      waiting.add(start);
      signal?.addEventListener('abort', abort, { once: true });
    });
  };
  return {
    async run(work, signal) {
      await enter(signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}

/**
 * Carries out `work` for each item, at most `size` at once, and answers in the items' order. Ends early, with the first
 * rejection, only after what was begun has settled.
 */
export async function mapLimited<Item, Result>(
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
