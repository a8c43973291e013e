import type { KubeEvent } from '../object/event.ts';

/** A container of a pod. */
export interface LogSource {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

export type GapReason = 'rate_limit' | 'buffer_full' | 'stream_limit' | 'history_lost' | 'not_followed';

/** Something is missing; `count` is 0 when it is not known how much. */
export interface Gap {
  readonly what: 'gap';
  readonly stackId: string;
  /** The container whose lines are missing; undefined for events. */
  readonly source: LogSource | undefined;
  readonly reason: GapReason;
  count: number;
  at: Date;
}

/** One thing to tell about what belongs to a stack. */
export type TelemetryItem =
  | { readonly what: 'event'; readonly stackId: string; readonly event: KubeEvent }
  | {
      readonly what: 'line';
      readonly stackId: string;
      readonly source: LogSource;
      readonly at: Date | undefined;
      readonly text: string;
      readonly isCut: boolean;
    }
  | Gap;

/** What a gap stands for is counted, item by item, for each of these. */
export function originOf(item: TelemetryItem): string {
  const source = item.what === 'event' ? undefined : item.source;
  return source ? [item.stackId, source.namespace, source.pod, source.container].join('/') : item.stackId;
}

/** About the bytes that it takes in memory, and in a request. */
export function sizeOf(item: TelemetryItem): number {
  switch (item.what) {
    case 'event':
      return 600 + item.event.message.length;
    case 'line':
      return 200 + item.text.length;
    case 'gap':
      return 200;
  }
}
