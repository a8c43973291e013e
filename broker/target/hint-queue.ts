import { createWakeup } from '../store/wait.ts';

/** Hints that wait to be sent. Each of them waits at most once, however often it is added, so a slow reader's queue is bounded. */
export interface HintQueue<Hint> {
  add(hint: Hint): void;
  /** Removes and returns the hint that was added first; undefined when none waits. */
  take(): Hint | undefined;
  /** True once a last hint was added, even while it waits for a slow reader. */
  readonly hasLast: boolean;
  /** Ends the queue: the hints that wait can still be taken. */
  end(): void;
  readonly isEnded: boolean;
  /** Settles when a hint is added, the queue ends or `wake` is called. */
  changed(): Promise<void>;
  wake(): void;
}

/** Creates a queue; `isLast` tells the hints after which there are no others. */
export function createHintQueue<Hint>(isLast: (hint: Hint) => boolean): HintQueue<Hint> {
  const waiting = new Set<Hint>();
  const change = createWakeup();
  let hasLast = false;
  let isEnded = false;
  return {
    add(hint) {
      hasLast ||= isLast(hint);
      waiting.add(hint);
      change.wake();
    },
    take() {
      const [first] = waiting;
      if (first !== undefined) waiting.delete(first);
      return first;
    },
    get hasLast() {
      return hasLast;
    },
    end() {
      isEnded = true;
      change.wake();
    },
    get isEnded() {
      return isEnded;
    },
    async changed() {
      await change.woken();
      change.reset();
    },
    wake: change.wake,
  };
}
