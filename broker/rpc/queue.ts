import { Refusal } from '../refusal.ts';

/** Calls of the first class go before all of the second, those before the third. */
export const classes = ['agent', 'single', 'list'] as const;
export type CallClass = (typeof classes)[number];

export interface FairQueue {
  /** Runs `work` when it is its turn. Refuses when the caller has too much waiting, and when `signal` aborts while it waits. */
  run<T>(caller: string, kind: CallClass, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** How many calls wait. */
  waiting(): number;
}

export interface QueueOptions {
  /** Calls that run at once. */
  readonly width: number;
  /** Calls that may wait for one caller and class. */
  readonly depth: number;
}

type Start = () => void;

/**
 * Shares a bounded number of running calls fairly: within a class, callers take turns, one call each, however many calls each of them
 * has waiting. So a caller with fifty times the load of another waits for itself, not the other for it.
 */
export function createFairQueue({ width, depth }: QueueOptions): FairQueue {
  // The order of a map's keys is the order of turns: whoever had a turn goes to the end.
  const queues = new Map<CallClass, Map<string, Start[]>>(classes.map((kind) => [kind, new Map()]));
  let running = 0;
  let waiting = 0;

  const startNext = () => {
    for (const callers of queues.values()) {
      const [next] = callers;
      if (!next) continue;
      const [caller, starts] = next;
      const start = starts.shift();
      callers.delete(caller);
      if (starts.length > 0) callers.set(caller, starts);
      start?.();
      return;
    }
  };
  const leave = () => {
    running -= 1;
    startNext();
  };
  const enter = (caller: string, kind: CallClass, signal: AbortSignal): Promise<void> => {
    if (running < width) {
      running += 1;
      return Promise.resolve();
    }
    const callers = queues.get(kind) as Map<string, Start[]>;
    const starts = callers.get(caller) ?? [];
    if (starts.length >= depth) {
      throw new Refusal('exhausted', `${depth} calls of this key are waiting: slow down`, { reason: 'TOO_MANY_CALLS' });
    }
    callers.set(caller, starts);
    return new Promise((resolve, reject) => {
      const start = () => {
        signal.removeEventListener('abort', abort);
        waiting -= 1;
        running += 1;
        resolve();
      };
      const abort = () => {
        const left = starts.filter((other) => other !== start);
        starts.splice(0, starts.length, ...left);
        if (starts.length === 0 && callers.get(caller) === starts) callers.delete(caller);
        waiting -= 1;
        reject(new Refusal('unavailable', 'the call ended while it waited'));
      };
      waiting += 1;
      starts.push(start);
      signal.addEventListener('abort', abort, { once: true });
    });
  };
  return {
    waiting: () => waiting,
    async run(caller, kind, signal, work) {
      signal.throwIfAborted();
      await enter(caller, kind, signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
