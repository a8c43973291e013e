import { type GapName, gapOf, type Stream, type TelemetryItem } from './rules.ts';

/** Number of items that one agent may send in a window of time. */
export interface Quota {
  readonly items: number;
  readonly everyMs: number;
}

/** Admits items within windows of time. */
export interface RateLimiter {
  /** Admits all of the items, and returns true, or none of them. */
  admit(count: number, nowMs: number): boolean;
  /** Returns when the window of the last call ends, in milliseconds since 1970. */
  windowEndsAt(): number;
}

export function createRateLimiter({ items, everyMs }: Quota): RateLimiter {
  let windowStart = Number.NEGATIVE_INFINITY;
  let left = items;
  return {
    windowEndsAt: () => windowStart + everyMs,
    admit(count, nowMs) {
      if (nowMs - windowStart >= everyMs) {
        windowStart = nowMs;
        left = items;
      }
      if (count > left) return false;
      left -= count;
      return true;
    },
  };
}

/** Counts dropped items: one gap for each stack and stream, however many there are. */
export interface DropCounter {
  /** Counts items; gaps among them count as much as they stand for. Items of more than `max` stacks and streams are not counted. */
  add(dropped: readonly TelemetryItem[]): void;
  gaps(reason: GapName): TelemetryItem[];
}

export function createDropCounter(max: number): DropCounter {
  const counts = new Map<string, { readonly stackId: string; readonly stream: Stream; readonly count: bigint }>();
  return {
    add(dropped) {
      for (const { stackId, stream, gap, count } of dropped) {
        const key = `${stackId}/${stream}`;
        const counted = counts.get(key);
        if (!counted && counts.size >= max) continue;
        counts.set(key, { stackId, stream, count: (counted?.count ?? 0n) + (gap === null ? 1n : count) });
      }
    },
    gaps: (reason) => [...counts.values()].map(({ stackId, stream, count }) => gapOf(stackId, stream, reason, count)),
  };
}
