import { type Gap, type GapReason, type LogSource, originOf, sizeOf, type TelemetryItem } from './item.ts';

/** A queue of bounded size. Items that it drops are counted in gaps, in the place where they were. */
export interface ItemQueue {
  /** Appends an item; drops the oldest ones when there is no room. */
  push(item: TelemetryItem): void;
  /** Appends a gap, or adds to the last one of the same reason if nothing of its origin came since. */
  addGap(stackId: string, source: LogSource | undefined, reason: GapReason, count: number): void;
  /** Counts an item as dropped, before everything that is in the queue. */
  drop(item: TelemetryItem, reason: GapReason): void;
  /** Removes the first items, at most one batch. */
  shiftBatch(): TelemetryItem[];
  /** Number of items and gaps in the queue. */
  readonly size: number;
  /** Number of items that were dropped. */
  readonly dropped: number;
}

export interface QueueLimits {
  readonly items: number;
  readonly bytes: number;
}

/** Creates an empty queue; `batch` limits what `shiftBatch` removes at once. */
export function createItemQueue(limits: QueueLimits, batch: QueueLimits): ItemQueue {
  /** Gaps before the first item of the queue, by origin. */
  const leadingGaps = new Map<string, Gap>();
  /** Gaps after the last item of their origin in the queue: what is missing next is added to them. */
  const openGaps = new Map<string, Gap>();
  const queue: TelemetryItem[] = [];
  let bytes = 0;
  let dropped = 0;
  const append = (item: TelemetryItem) => {
    queue.push(item);
    bytes += sizeOf(item);
    while (queue.length > limits.items || bytes > limits.bytes) drop(shift(), 'buffer_full');
  };
  const shift = (): TelemetryItem => {
    const item = queue.shift()!;
    bytes -= sizeOf(item);
    if (item.type === 'gap' && openGaps.get(originOf(item)) === item) openGaps.delete(originOf(item));
    return item;
  };
  const drop = (item: TelemetryItem, reason: GapReason) => {
    const count = item.type === 'gap' ? item.count : 1;
    if (item.type !== 'gap') dropped += 1;
    const gap = leadingGaps.get(originOf(item));
    if (gap) gap.count += count;
    else leadingGaps.set(originOf(item), gapFor(item, reason, count));
  };
  return {
    push(item) {
      openGaps.delete(originOf(item));
      append(item);
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
      append(gap);
    },
    drop,
    shiftBatch() {
      const items: TelemetryItem[] = [];
      for (const [origin, gap] of leadingGaps) {
        if (items.length === batch.items) return items;
        items.push(gap);
        leadingGaps.delete(origin);
      }
      for (let size = 0; queue.length > 0 && items.length < batch.items; ) {
        size += sizeOf(queue[0]!);
        if (items.length > 0 && size > batch.bytes) break;
        items.push(shift());
      }
      return items;
    },
    get size() {
      return queue.length + leadingGaps.size;
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
