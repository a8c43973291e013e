import { createDropCounter, createRateLimiter, type DropCounter, type Quota } from './quota.ts';
import { type Batch, bytesOf, isLater } from './rules.ts';

export interface WaitingBatch extends Batch {
  readonly bytes: number;
  readonly received: () => void;
}

/** The batches of one agent that wait to be written, under the agent's quota. */
export interface AgentQueue {
  /** In the order in which they came. */
  readonly waiting: readonly WaitingBatch[];
  /** Bytes of the waiting batches. */
  readonly bytes: number;
  /**
   * Adds a batch, or drops it when it is over the quota; returns how many items were dropped. When the window of the quota ends, the
   * dropped items are followed by gaps, and `received` of the last dropped batch is called once these are written.
   */
  add(batch: Batch, received: () => void): number;
  /** Removes the first batch, after it was written. */
  shift(): void;
  close(): void;
}

/** The batches that were dropped in the present window. */
interface Overflow {
  readonly counter: DropCounter;
  readonly timer: NodeJS.Timeout;
  readonly last: Batch;
  readonly received: () => void;
}

/** Share of a quota that gaps may take. */
const gapShare = 0.1;

/** Creates a queue; `enqueued` is called with the bytes of each batch that is added. */
export function createAgentQueue(quota: Quota, enqueued: (bytes: number) => void): AgentQueue {
  const limiter = createRateLimiter(quota);
  const batches = createBatchList(enqueued);
  let overflow: Overflow | undefined;

  const drop = (batch: Batch, received: () => void): number => {
    if (overflow && !isLater(batch, overflow.last)) {
      // The agent repeats a batch that was counted already.
      overflow = { ...overflow, received };
      return 0;
    }
    const counter = overflow?.counter ?? createDropCounter(Math.ceil(quota.items * gapShare));
    const timer = overflow?.timer ?? setTimeout(pushGaps, limiter.windowEndsAt() - Date.now()).unref();
    counter.add(batch.items);
    overflow = { counter, timer, last: { ...batch, items: [] }, received };
    return batch.items.length;
  };

  /** Adds gaps for what was dropped in the last window, before the batches of the next one, whose quota they use. */
  const pushGaps = () => {
    if (!overflow) return;
    const { counter, timer, last, received } = overflow;
    clearTimeout(timer);
    overflow = undefined;
    const gaps = counter.gaps('quota');
    limiter.admit(gaps.length, Math.max(Date.now(), limiter.windowEndsAt()));
    batches.push({ ...last, items: gaps }, received);
  };

  return {
    waiting: batches.waiting,
    get bytes() {
      return batches.bytes();
    },
    add(batch, received) {
      if (overflow && Date.now() >= limiter.windowEndsAt()) pushGaps();
      if (overflow || !limiter.admit(batch.items.length, Date.now())) return drop(batch, received);
      batches.push(batch, received);
      return 0;
    },
    shift: batches.shift,
    close: () => clearTimeout(overflow?.timer),
  };
}

/** Batches in the order in which they came, with their bytes. */
function createBatchList(pushed: (bytes: number) => void) {
  const waiting: WaitingBatch[] = [];
  let total = 0;
  return {
    waiting,
    bytes: () => total,
    push(batch: Batch, received: () => void) {
      const bytes = batch.items.reduce((sum, item) => sum + bytesOf(item), 0);
      waiting.push({ ...batch, bytes, received });
      total += bytes;
      pushed(bytes);
    },
    shift() {
      total -= waiting.shift()?.bytes ?? 0;
    },
  };
}
