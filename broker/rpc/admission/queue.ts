import { Refusal } from '../../refusal.ts';

/** Calls of an earlier class go before those of a later one, but for the turns that are kept for the later ones. */
const classes = ['agent', 'single', 'list'] as const;
export type CallClass = (typeof classes)[number];

/** Which class goes first in each turn of a round: under a flood of the first, the others get their share too. */
const round: readonly CallClass[] = ['agent', 'agent', 'single', 'agent', 'agent', 'single', 'agent', 'list'];

export interface FairQueue {
  /** Runs `work` when it is its turn. Refuses when the caller has too much waiting, and when `signal` aborts while it waits. */
  run<T>(caller: string, kind: CallClass, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** How many calls wait. */
  waiting(): number;
}

/** Read at each use: what they are may change while the queue is used. */
export interface QueueOptions {
  /** Calls that run at once. */
  readonly width: number;
  /** Calls of one caller that run at once: what is left serves others without a wait. */
  readonly callerWidth: number;
  /** Calls that may wait for one caller and class. */
  readonly depth: number;
}

type Start = () => void;

/**
 * Shares a bounded number of running calls fairly: within a class, callers take turns, one call each, however many calls each of them
 * has waiting, and none fills all places. So a caller with fifty times the load of another waits for itself, not the other for it.
 */
export function createFairQueue(options: QueueOptions): FairQueue {
  // The order of a map's keys is the order of turns: whoever had a turn goes to the end.
  const queues = new Map<CallClass, Map<string, Start[]>>(classes.map((kind) => [kind, new Map()]));
  const runningOf = new Map<string, number>();
  let running = 0;
  let waiting = 0;
  let turn = 0;

  const mayRun = (caller: string) => running < options.width && (runningOf.get(caller) ?? 0) < options.callerWidth;
  const count = (caller: string, by: 1 | -1) => {
    running += by;
    const now = (runningOf.get(caller) ?? 0) + by;
    if (now > 0) runningOf.set(caller, now);
    else runningOf.delete(caller);
  };
  const startFrom = (kind: CallClass): boolean => {
    const callers = queues.get(kind) as Map<string, Start[]>;
    for (const [caller, starts] of callers) {
      if (!mayRun(caller)) continue;
      const start = starts.shift();
      callers.delete(caller);
      if (starts.length > 0) callers.set(caller, starts);
      start?.();
      return true;
    }
    return false;
  };
  const startNext = () => {
    if (waiting === 0) return;
    const first = round[turn % round.length] as CallClass;
    turn += 1;
    if (!startFrom(first)) classes.some((kind) => kind !== first && startFrom(kind));
  };
  const leave = (caller: string) => {
    count(caller, -1);
    startNext();
  };
  const enter = (caller: string, kind: CallClass, signal: AbortSignal): Promise<void> => {
    if (mayRun(caller)) {
      count(caller, 1);
      return Promise.resolve();
    }
    const callers = queues.get(kind) as Map<string, Start[]>;
    const starts = callers.get(caller) ?? [];
    if (starts.length >= options.depth) {
      throw new Refusal('resource_exhausted', `${options.depth} calls of this key are waiting: slow down`, {
        reason: 'TOO_MANY_CALLS',
      });
    }
    callers.set(caller, starts);
    return new Promise((resolve, reject) => {
      const start = () => {
        signal.removeEventListener('abort', abort);
        waiting -= 1;
        count(caller, 1);
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
        leave(caller);
      }
    },
  };
}
