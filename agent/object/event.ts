import { at, type KubeObject, type ObjectId, textAt } from './kube-object.ts';

/** A Kubernetes Event about an object. */
export interface KubeEvent {
  readonly object: ObjectId;
  /** "Normal" or "Warning". */
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  /** Time of the last occurrence. */
  readonly at: Date | undefined;
  readonly firstAt: Date | undefined;
  /** Component that reported the event, such as "kubelet". */
  readonly source: string;
}

/** Converts an Event of `v1`, whose writers fill in different fields. */
export function toEvent(event: KubeObject): KubeEvent {
  const text = (...path: string[]) => textAt(event, ...path) ?? '';
  const count = Number(at(event, 'series', 'count') ?? at(event, 'count') ?? 1);
  return {
    object: {
      apiVersion: text('involvedObject', 'apiVersion'),
      kind: text('involvedObject', 'kind'),
      namespace: text('involvedObject', 'namespace'),
      name: text('involvedObject', 'name'),
    },
    type: text('type'),
    reason: text('reason'),
    message: text('message'),
    count: Number.isInteger(count) && count > 0 ? count : 1,
    at: dateOf(
      text('series', 'lastObservedTime') || text('lastTimestamp') || text('eventTime') || text('firstTimestamp'),
    ),
    firstAt: dateOf(text('firstTimestamp') || text('eventTime')),
    source: text('source', 'component') || text('reportingComponent'),
  };
}

/** Compares events for sorting; those without a time come last. */
export function newestFirst(left: KubeEvent, right: KubeEvent): number {
  return (right.at?.getTime() ?? 0) - (left.at?.getTime() ?? 0);
}

function dateOf(time: string): Date | undefined {
  return Number.isNaN(Date.parse(time)) ? undefined : new Date(time);
}
