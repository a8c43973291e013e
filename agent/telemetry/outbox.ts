import type { GapReason, LogSource, TelemetryItem } from './item.ts';
import { createItemQueue, type QueueLimits } from './item-queue.ts';

/** Items that the broker acknowledges together, by their sequence. */
export interface TelemetryBatch {
  readonly sequence: bigint;
  readonly items: readonly TelemetryItem[];
}

/** Keeps items in bounded memory until the broker has them. Every item that is left out is counted in a gap. */
export interface Outbox {
  /** Appends an item; drops the oldest ones when there is no room. */
  add(item: TelemetryItem): void;
  /** Records that items are missing here: `count` of them, or 0 for an unknown number. */
  addGap(stackId: string, source: LogSource | undefined, reason: GapReason, count: number): void;
  /** Returns the next batch to send; undefined while there is none, or enough batches are in flight. */
  take(): TelemetryBatch | undefined;
  /** Resolves when there may be a batch to take. */
  available(): Promise<void>;
  /** Removes the batches up to this sequence, which the broker has. */
  acknowledge(sequence: bigint): void;
  /** Sends the batches in flight again, which may not have arrived. */
  rewind(): void;
  /** Drops the first batch in flight, which the broker refuses, and counts its items in gaps. */
  dropFirst(): void;
  /** Number of items that the broker does not have yet. */
  readonly pending: number;
  /** Number of items that were dropped for lack of room, or refused. */
  readonly dropped: number;
}

const defaultLimits: QueueLimits = { items: 5_000, bytes: 4 << 20 };
/** Maximum of one request. */
const batchLimits: QueueLimits = { items: 500, bytes: 256 << 10 };
const maxBatchesInFlight = 8;

/** Creates an empty outbox. */
export function createOutbox(limits: QueueLimits = defaultLimits): Outbox {
  const queue = createItemQueue(limits, batchLimits);
  const inFlight: TelemetryBatch[] = [];
  /** Number of batches in flight that were taken since the last rewind. */
  let takenCount = 0;
  let sequence = 0n;
  let availability = Promise.withResolvers<void>();
  const canTake = () => takenCount < inFlight.length || (inFlight.length < maxBatchesInFlight && queue.size > 0);
  return {
    add(item) {
      queue.push(item);
      availability.resolve();
    },
    addGap(stackId, source, reason, count) {
      queue.addGap(stackId, source, reason, count);
      availability.resolve();
    },
    take() {
      if (!canTake()) return undefined;
      if (takenCount === inFlight.length) inFlight.push({ sequence: ++sequence, items: queue.shiftBatch() });
      return inFlight[takenCount++];
    },
    available() {
      if (canTake()) return Promise.resolve();
      availability = Promise.withResolvers();
      return availability.promise;
    },
    acknowledge(upTo) {
      while (inFlight[0] && inFlight[0].sequence <= upTo) {
        inFlight.shift();
        takenCount = Math.max(0, takenCount - 1);
      }
      availability.resolve();
    },
    rewind() {
      takenCount = 0;
      availability.resolve();
    },
    dropFirst() {
      for (const item of inFlight.shift()?.items ?? []) queue.drop(item, 'buffer_full');
      takenCount = 0;
      availability.resolve();
    },
    get pending() {
      return queue.size + inFlight.reduce((sum, { items }) => sum + items.length, 0);
    },
    get dropped() {
      return queue.dropped;
    },
  };
}
