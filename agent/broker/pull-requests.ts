import { createWakeup } from '../concurrency/wakeup.ts';

/** Asks the puller to pull before its interval is over. */
export interface PullRequests {
  /** Asks for a pull at once. */
  pull(): void;
  /** Asks for a pull of the whole state, even when it is the one that is known. */
  pullFull(): void;
  /** Returns whether a full pull was asked for since the last call. */
  takeFull(): boolean;
  /** Waits until a pull is asked for, at most `ms`, and until the signal aborts; never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createPullRequests(): PullRequests {
  const { wake, wait } = createWakeup();
  let isFull = false;
  return {
    pull: wake,
    pullFull() {
      isFull = true;
      wake();
    },
    takeFull() {
      const was = isFull;
      isFull = false;
      return was;
    },
    wait,
  };
}
