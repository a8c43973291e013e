import type { gapReasons } from '../../contract/enum-names.ts';
import { halfOfBigint } from '../numbers.ts';

export type Stream = 'event' | 'log';

export type GapName = keyof typeof gapReasons;

/** One item of telemetry, as it is stored: a Kubernetes event, a log line or a gap. Fields that a kind of item lacks are empty. */
export interface TelemetryItem {
  readonly stackId: string;
  readonly stream: Stream;
  /** Reason why items are missing here; null for a line or an event. */
  readonly gap: GapName | null;
  /** Number of occurrences of an event, or of missing items. */
  readonly count: bigint;
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  /** Name of the pod, or of the object that the event is about. */
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

/** Items that an agent sent together. */
export interface Batch {
  readonly agentId: string;
  readonly incarnation: bigint;
  readonly sequence: bigint;
  readonly items: readonly TelemetryItem[];
}

/** Selects telemetry of a stack; empty fields select everything. */
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

/** Answers whether a batch was sent after another one of the same agent. */
export function isLater(batch: Omit<Batch, 'items'>, other: Omit<Batch, 'items'>): boolean {
  return batch.incarnation === other.incarnation
    ? batch.sequence > other.sequence
    : batch.incarnation > other.incarnation;
}

/** Makes an item that says that items of a stack are missing. */
export function gapOf(stackId: string, stream: Stream, gap: GapName, count: bigint): TelemetryItem {
  return { ...emptyItem, stackId, stream, gap, count: capped(count) };
}

/** Limits a count, which an agent may have made up, to what the database can still add up. */
function capped(count: bigint): bigint {
  return count < halfOfBigint ? count : halfOfBigint;
}

export const emptyItem = {
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

/** Estimates the bytes that an item takes in memory and in an answer. */
export function bytesOf({ text }: Pick<TelemetryItem, 'text'>): number {
  return 400 + Buffer.byteLength(text);
}
