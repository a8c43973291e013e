import { Refusal } from '../../refusal.ts';
import type { Lifetime } from '../lifetime.ts';

/** Classes by priority: a call of an earlier class goes first, except in the turns reserved for later classes. */
const callClasses = ['agent', 'single', 'list'] as const;
export type CallClass = (typeof callClasses)[number];

/** The class that has priority in each turn of a round. Later classes have turns reserved, so none starves. */
const turnOrder: readonly CallClass[] = ['agent', 'agent', 'single', 'agent', 'agent', 'single', 'agent', 'list'];

export interface FairQueue {
  /**
   * Runs `work` when its turn comes and settles as it does. Rejects with `resource_exhausted` when the caller has too many calls
   * waiting, and with `unavailable` when the call ends during the wait.
   */
  run<T>(caller: string, kind: CallClass, lifetime: Lifetime, work: () => Promise<T>): Promise<T>;
  /** Returns the number of calls that wait. */
  waiting(): number;
}

/** Limits of a queue. They are read at each use, so a getter can change them at run time. */
export interface QueueOptions {
  /** Maximum number of running calls. */
  readonly maxRunning: number;
  /** Maximum number of running calls per caller: the rest serves others without a wait. */
  readonly maxRunningPerCaller: number;
  /** Maximum number of waiting calls per caller and class. */
  readonly maxWaitingPerCaller: number;
}

type Start = () => void;

/**
 * Creates a queue that shares a bounded number of running calls fairly: within a class, callers take turns, one call each, however
 * many calls each has waiting, and no caller occupies all places. A caller with fifty times the load of another delays only itself.
 */
export function createFairQueue(options: QueueOptions): FairQueue {
  // Callers take turns in the order of the map's keys; a caller that had its turn moves to the end.
  const waitingByClass = new Map<CallClass, Map<string, Start[]>>(callClasses.map((kind) => [kind, new Map()]));
  const runningByCaller = new Map<string, number>();
  let running = 0;
  let waiting = 0;
  let nextTurn = 0;

  const mayRun = (caller: string) =>
    running < options.maxRunning && (runningByCaller.get(caller) ?? 0) < options.maxRunningPerCaller;
  const changeRunning = (caller: string, by: 1 | -1) => {
    running += by;
    const now = (runningByCaller.get(caller) ?? 0) + by;
    if (now > 0) runningByCaller.set(caller, now);
    else runningByCaller.delete(caller);
  };
  const startFrom = (kind: CallClass): boolean => {
    const callers = waitingByClass.get(kind) as Map<string, Start[]>;
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
    const first = turnOrder[nextTurn % turnOrder.length] as CallClass;
    nextTurn += 1;
    if (!startFrom(first)) callClasses.some((kind) => kind !== first && startFrom(kind));
  };
  const leave = (caller: string) => {
    changeRunning(caller, -1);
    startNext();
  };
  const waitForTurn = (caller: string, kind: CallClass, signal: AbortSignal): Promise<void> => {
    const callers = waitingByClass.get(kind) as Map<string, Start[]>;
    const starts = callers.get(caller) ?? [];
    if (starts.length >= options.maxWaitingPerCaller) {
      throw new Refusal(
        'resource_exhausted',
        `${options.maxWaitingPerCaller} calls of this key are waiting: slow down`,
        {
          reason: 'TOO_MANY_CALLS',
        },
      );
    }
    callers.set(caller, starts);
    return new Promise((resolve, reject) => {
      const start = () => {
        signal.removeEventListener('abort', abort);
        waiting -= 1;
        changeRunning(caller, 1);
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
    async run(caller, kind, lifetime, work) {
      if (lifetime.ended) lifetime.signal.throwIfAborted();
      if (mayRun(caller)) changeRunning(caller, 1);
      else await waitForTurn(caller, kind, lifetime.signal);
      try {
        return await work();
      } finally {
        leave(caller);
      }
    },
  };
}
