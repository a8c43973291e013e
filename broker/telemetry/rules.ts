import type { gapReasons } from '../../contract/enum-names.ts';
import { halfOfBigint } from '../numbers.ts';

export type Stream = 'event' | 'log';

export type GapName = keyof typeof gapReasons;

/** One thing that a cluster told, in the database's words; what a kind of thing does not have is empty. */
export interface Told {
  readonly stackId: string;
  readonly stream: Stream;
  /** Why something is missing here; null for a line or an event. */
  readonly gap: GapName | null;
  /** How often an event came, or how much is missing. */
  readonly count: bigint;
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  /** Of the pod, or of the object that the event is about. */
  readonly name: string;
  readonly container: string;
  readonly type: string;
  readonly reason: string;
  readonly source: string;
  /** The line, or the event's message. */
  readonly text: string;
  readonly truncated: boolean;
  readonly firstAt: Date | null;
  readonly at: Date | null;
}

/** What a reader wants to see of a stack; what is empty is any. */
export interface Filter {
  readonly stackId: string;
  readonly streams: readonly Stream[];
  readonly agentId: string | undefined;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
  readonly type: string;
  readonly startAt: Date | undefined;
}

/** How much one agent may tell, in any stretch of time of that length. */
export interface Quota {
  readonly items: number;
  readonly everyMs: number;
}

/** Counts what is admitted within windows of time. */
export interface Meter {
  /** Whether so many may pass now: all of them, or none. */
  admit(count: number, nowMs: number): boolean;
  /** When the window ends in which something was last asked. */
  endsAt(): number;
}

export function createMeter({ items, everyMs }: Quota): Meter {
  let began = Number.NEGATIVE_INFINITY;
  let left = items;
  return {
    endsAt: () => began + everyMs,
    admit(count, nowMs) {
      if (nowMs - began >= everyMs) {
        began = nowMs;
        left = items;
      }
      if (count > left) return false;
      left -= count;
      return true;
    },
  };
}

/** Adds up what is left out: one mark for each stack and stream, however much there is. */
export interface Tally {
  /** Gaps among it keep their counts. What concerns more than `most` stacks and streams has no mark. */
  add(left: readonly Told[]): void;
  marks(reason: GapName): Told[];
}

export function createTally(most: number): Tally {
  const counts = new Map<string, { readonly stackId: string; readonly stream: Stream; readonly count: bigint }>();
  return {
    add(left) {
      for (const { stackId, stream, gap, count } of left) {
        const key = `${stackId}/${stream}`;
        const known = counts.get(key);
        if (!known && counts.size >= most) continue;
        const total = (known?.count ?? 0n) + (gap === null ? 1n : count);
        counts.set(key, { stackId, stream, count: total < halfOfBigint ? total : halfOfBigint });
      }
    },
    marks: (reason) => [...counts.values()].map(({ stackId, stream, count }) => gapOf(stackId, stream, reason, count)),
  };
}

/** A mark for something that is missing of a stack. */
export function gapOf(stackId: string, stream: Stream, gap: GapName, count: bigint): Told {
  return { ...blank, stackId, stream, gap, count };
}

/** What a kind of thing does not have. */
export const blank = {
  apiVersion: '',
  kind: '',
  namespace: '',
  name: '',
  container: '',
  type: '',
  reason: '',
  source: '',
  text: '',
  truncated: false,
  firstAt: null,
  at: null,
} as const;

/** About the bytes that it takes in memory, and in an answer. */
export function bytesOf({ text }: Pick<Told, 'text'>): number {
  return 400 + Buffer.byteLength(text);
}
