import type { KubeEvent } from '../object/event.ts';

/** The container that wrote a log line. */
export interface LogSource {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

export type GapReason = 'rate_limit' | 'buffer_full' | 'stream_limit' | 'history_lost' | 'not_followed';

/** Marks where items are missing. */
export interface Gap {
  readonly type: 'gap';
  readonly stackId: string;
  /** Container whose lines are missing; undefined for events. */
  readonly source: LogSource | undefined;
  readonly reason: GapReason;
  /** Number of missing items; 0 when it is unknown. */
  count: number;
  at: Date;
}

/** A Kubernetes event or log line about an object of a stack, or a gap. */
export type TelemetryItem =
  | { readonly type: 'event'; readonly stackId: string; readonly event: KubeEvent }
  | {
      readonly type: 'line';
      readonly stackId: string;
      readonly source: LogSource;
      readonly at: Date | undefined;
      readonly text: string;
      readonly isTruncated: boolean;
    }
  | Gap;

/** Returns the key under which gaps are counted: the stack, and for log lines the container. */
export function originOf(item: TelemetryItem): string {
  const source = item.type === 'event' ? undefined : item.source;
  return source ? [item.stackId, source.namespace, source.pod, source.container].join('/') : item.stackId;
}

/** Estimates the bytes that an item takes in memory and in a request. */
export function sizeOf(item: TelemetryItem): number {
  switch (item.type) {
    case 'event':
      return 600 + item.event.message.length;
    case 'line':
      return 200 + item.text.length;
    case 'gap':
      return 200;
  }
}
