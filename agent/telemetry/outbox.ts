import { type Gap, type GapReason, type LogSource, originOf, sizeOf, type TelemetryItem } from './item.ts';

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

export interface OutboxLimits {
  readonly items: number;
  readonly bytes: number;
}

const usualLimits: OutboxLimits = { items: 5_000, bytes: 4 << 20 };
/** Maximum of one request. */
const batchItems = 500;
const batchBytes = 256 << 10;
const maxBatchesInFlight = 8;

/** Creates an empty outbox. */
export function createOutbox({ items: maxItems, bytes: maxBytes }: OutboxLimits = usualLimits): Outbox {
  /** Gaps before the first item of the queue, by origin. */
  const leadingGaps = new Map<string, Gap>();
  /** Gaps after the last item of their origin in the queue: what is missing next is added to them. */
  const openGaps = new Map<string, Gap>();
  const queue: TelemetryItem[] = [];
  let bytes = 0;
  const inFlight: TelemetryBatch[] = [];
  /** Number of batches in flight that were taken since the last rewind. */
  let takenCount = 0;
  let sequence = 0n;
  let dropped = 0;
  let availability = Promise.withResolvers<void>();

  const push = (item: TelemetryItem) => {
    queue.push(item);
    bytes += sizeOf(item);
    while (queue.length > maxItems || bytes > maxBytes) drop(shift(), 'buffer_full');
    availability.resolve();
  };
  const shift = (): TelemetryItem => {
    const item = queue.shift()!;
    bytes -= sizeOf(item);
    if (item.type === 'gap' && openGaps.get(originOf(item)) === item) openGaps.delete(originOf(item));
    return item;
  };
  const drop = (item: TelemetryItem, reason: GapReason) => {
    const isGap = item.type === 'gap';
    const count = isGap ? item.count : 1;
    if (!isGap) dropped += 1;
    const gap = leadingGaps.get(originOf(item));
    if (gap) gap.count += count;
    else leadingGaps.set(originOf(item), gapFor(item, reason, count));
  };
  const canTake = () =>
    takenCount < inFlight.length || (inFlight.length < maxBatchesInFlight && queue.length + leadingGaps.size > 0);
  const fillBatch = (): TelemetryItem[] => {
    const items: TelemetryItem[] = [];
    for (const [origin, gap] of leadingGaps) {
      if (items.length === batchItems) return items;
      items.push(gap);
      leadingGaps.delete(origin);
    }
    for (let size = 0; queue.length > 0 && items.length < batchItems; ) {
      size += sizeOf(queue[0]!);
      if (items.length > 0 && size > batchBytes) break;
      items.push(shift());
    }
    return items;
  };
  return {
    add(item) {
      openGaps.delete(originOf(item));
      push(item);
    },
    addGap(stackId, source, reason, count) {
      const gap: Gap = { type: 'gap', stackId, source, reason, count, at: new Date() };
      const openGap = openGaps.get(originOf(gap));
      if (openGap?.reason === reason) {
        openGap.count += count;
        openGap.at = gap.at;
        return;
      }
      openGaps.set(originOf(gap), gap);
      push(gap);
    },
    take() {
      if (!canTake()) return undefined;
      if (takenCount === inFlight.length) inFlight.push({ sequence: ++sequence, items: fillBatch() });
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
      for (const item of inFlight.shift()?.items ?? []) drop(item, 'buffer_full');
      takenCount = 0;
      availability.resolve();
    },
    get pending() {
      return queue.length + leadingGaps.size + inFlight.reduce((sum, { items }) => sum + items.length, 0);
    },
    get dropped() {
      return dropped;
    },
  };
}

function gapFor(item: TelemetryItem, reason: GapReason, count: number): Gap {
  const source = item.type === 'event' ? undefined : item.source;
  const at = (item.type === 'event' ? item.event.at : item.at) ?? new Date();
  return { type: 'gap', stackId: item.stackId, source, reason, count, at };
}
