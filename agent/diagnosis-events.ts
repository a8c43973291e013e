import type { Cluster } from './cluster.ts';
import type { Notes } from './diagnosis.ts';
import { at, type KubeObject, type ObjectId, textAt } from './object.ts';

/** What Kubernetes itself says about an object. */
export interface KubeEvent {
  readonly object: ObjectId;
  /** "Normal" or "Warning". */
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly at: Date | undefined;
  readonly firstAt: Date | undefined;
  /** What told it, such as "kubelet". */
  readonly source: string;
}

const maxEvents = 500;
/** Looked at in one namespace. */
const maxLooked = 5_000;
const maxBytes = 150 << 10;
const kind = { apiVersion: 'v1', kind: 'Event' } as const;

/** Newest first; those of cluster-scoped objects are in the namespace `default`. */
export async function eventsAbout(
  cluster: Cluster,
  objects: readonly KubeObject[],
  notes: Notes,
  signal: AbortSignal,
): Promise<KubeEvent[]> {
  const byPlace = Map.groupBy(objects, ({ metadata }) => metadata.namespace || 'default');
  const events: KubeEvent[] = [];
  for (const [namespace, members] of byPlace) {
    const uids = new Set(members.map(({ metadata }) => metadata.uid));
    await notes.attempt(`events in ${namespace}`, async () => {
      let looked = 0;
      for await (const page of cluster.pages(kind, { namespace }, signal)) {
        for (const event of page) if (uids.has(textAt(event, 'involvedObject', 'uid'))) events.push(toEvent(event));
        looked += page.length;
        if (looked < maxLooked) continue;
        notes.add(`events in ${namespace}: only ${maxLooked} were looked at`);
        break;
      }
    });
  }
  events.sort((left, right) => (right.at?.getTime() ?? 0) - (left.at?.getTime() ?? 0));
  let bytes = 0;
  const shown = events.slice(0, maxEvents).filter(({ message }) => {
    bytes += 300 + Buffer.byteLength(message);
    return bytes <= maxBytes;
  });
  if (shown.length < events.length) notes.add(`${events.length - shown.length} older events were left out`);
  return shown;
}

/** An Event of v1. */
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

function dateOf(time: string): Date | undefined {
  return Number.isNaN(Date.parse(time)) ? undefined : new Date(time);
}
