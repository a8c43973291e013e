import { type Gap, type GapReason, type LogSource, originOf, sizeOf, type TelemetryItem } from './item.ts';

/** Items under the number by which the broker acknowledges them. */
export interface TelemetryBatch {
  readonly sequence: bigint;
  readonly items: readonly TelemetryItem[];
}

/** What is to be told, in bounded memory, until the broker has it. Nothing is left out without a mark. */
export interface Outbox {
  add(item: TelemetryItem): void;
  /** Marks that something is missing here: `count` more of it, or 0 when that is not known. */
  lost(stackId: string, source: LogSource | undefined, reason: GapReason, count: number): void;
  /** The next batch to send; undefined while there is nothing, or enough is under way. */
  take(): TelemetryBatch | undefined;
  /** Settles when there may be something to take. */
  news(): Promise<void>;
  /** The broker has everything up to this sequence. */
  received(sequence: bigint): void;
  /** What was under way may not have arrived: it is taken again. */
  rewind(): void;
  /** The broker does not take what was under way first: it is left out, with marks. */
  refused(): void;
  readonly pending: number;
  /** How many items were left out for want of room, or refused. */
  readonly dropped: number;
}

export interface OutboxLimits {
  readonly items: number;
  readonly bytes: number;
}

const usualLimits: OutboxLimits = { items: 5_000, bytes: 4 << 20 };
/** The contract takes no more at once. */
const batchItems = 500;
const batchBytes = 256 << 10;
const batchesUnderWay = 8;

export function createOutbox({ items: mostItems, bytes: mostBytes }: OutboxLimits = usualLimits): Outbox {
  /** What was left out before everything in the queue. */
  const before = new Map<string, Gap>();
  /** Marks at the end of the queue that what is missing next can be added to. */
  const open = new Map<string, Gap>();
  const queue: TelemetryItem[] = [];
  let bytes = 0;
  const underWay: TelemetryBatch[] = [];
  let sent = 0;
  let sequence = 0n;
  let dropped = 0;
  let news = Promise.withResolvers<void>();

  const push = (item: TelemetryItem) => {
    queue.push(item);
    bytes += sizeOf(item);
    while (queue.length > mostItems || bytes > mostBytes) leaveOut(shift(), 'buffer_full');
    news.resolve();
  };
  const shift = (): TelemetryItem => {
    const item = queue.shift()!;
    bytes -= sizeOf(item);
    if (item.what === 'gap' && open.get(originOf(item)) === item) open.delete(originOf(item));
    return item;
  };
  const leaveOut = (item: TelemetryItem, reason: GapReason) => {
    const isGap = item.what === 'gap';
    const count = isGap ? item.count : 1;
    if (!isGap) dropped += 1;
    const mark = before.get(originOf(item));
    if (mark) mark.count += count;
    else before.set(originOf(item), gapFor(item, reason, count));
  };
  const canTake = () => sent < underWay.length || (underWay.length < batchesUnderWay && queue.length + before.size > 0);
  const fill = (): TelemetryItem[] => {
    const items: TelemetryItem[] = [];
    for (const [origin, mark] of before) {
      if (items.length === batchItems) return items;
      items.push(mark);
      before.delete(origin);
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
      open.delete(originOf(item));
      push(item);
    },
    lost(stackId, source, reason, count) {
      const gap: Gap = { what: 'gap', stackId, source, reason, count, at: new Date() };
      const mark = open.get(originOf(gap));
      if (mark?.reason === reason) {
        mark.count += count;
        mark.at = gap.at;
        return;
      }
      open.set(originOf(gap), gap);
      push(gap);
    },
    take() {
      if (!canTake()) return undefined;
      if (sent === underWay.length) underWay.push({ sequence: ++sequence, items: fill() });
      return underWay[sent++];
    },
    news() {
      if (canTake()) return Promise.resolve();
      news = Promise.withResolvers();
      return news.promise;
    },
    received(upTo) {
      while (underWay[0] && underWay[0].sequence <= upTo) {
        underWay.shift();
        sent = Math.max(0, sent - 1);
      }
      news.resolve();
    },
    rewind() {
      sent = 0;
      news.resolve();
    },
    refused() {
      for (const item of underWay.shift()?.items ?? []) leaveOut(item, 'buffer_full');
      sent = 0;
      news.resolve();
    },
    get pending() {
      return queue.length + before.size + underWay.reduce((sum, { items }) => sum + items.length, 0);
    },
    get dropped() {
      return dropped;
    },
  };
}

function gapFor(item: TelemetryItem, reason: GapReason, count: number): Gap {
  const source = item.what === 'event' ? undefined : item.source;
  const at = (item.what === 'event' ? item.event.at : item.at) ?? new Date();
  return { what: 'gap', stackId: item.stackId, source, reason, count, at };
}
