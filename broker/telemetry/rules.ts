export type Stream = 'event' | 'log';

export type GapName =
  | 'rate_limit'
  | 'buffer_full'
  | 'stream_limit'
  | 'history_lost'
  | 'not_followed'
  | 'quota'
  | 'slow_reader';

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
  /** How many of so many may pass now. */
  admit(count: number, nowMs: number): number;
}

export function createMeter({ items, everyMs }: Quota): Meter {
  let began = Number.NEGATIVE_INFINITY;
  let left = items;
  return {
    admit(count, nowMs) {
      if (nowMs - began >= everyMs) {
        began = nowMs;
        left = items;
      }
      const admitted = Math.min(count, left);
      left -= admitted;
      return admitted;
    },
  };
}

/** Marks for what is left out: one for each container, and one for the events of each stack. Gaps among it keep their counts. */
export function gapsFor(left: readonly Told[], reason: GapName): Told[] {
  const bySource = Map.groupBy(left, ({ stackId, stream, namespace, name, container }) =>
    (stream === 'log' ? [stackId, namespace, name, container] : [stackId]).join('/'),
  );
  return [...bySource.values()].map((items) => {
    const last = items.at(-1)!;
    const count = items.reduce((sum, item) => sum + (item.gap === null ? 1n : item.count), 0n);
    return { ...gapOf(last.stackId, last.stream, reason, count), ...(last.stream === 'log' && sourceOf(last)) };
  });
}

/** A mark for something that is missing of a stack. */
export function gapOf(stackId: string, stream: Stream, gap: GapName, count: bigint): Told {
  return { ...blank, stackId, stream, gap, count };
}

function sourceOf({ namespace, name, container, at }: Told) {
  return { namespace, name, container, at };
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
