import type { Cluster } from '../kube/cluster.ts';
import { type KubeEvent, newestFirst, toEvent } from '../object/event.ts';
import { type KubeObject, textAt } from '../object/kube-object.ts';
import type { Notes } from './notes.ts';

const maxEvents = 500;
/** Maximum number of events that are read in one namespace. */
const maxRead = 5_000;
const maxBytes = 150 << 10;
const eventKind = { apiVersion: 'v1', kind: 'Event' } as const;

/**
 * Returns the Kubernetes events about the objects, newest first. Events of cluster-scoped objects are in the namespace `default`.
 */
export async function eventsAbout(
  cluster: Cluster,
  objects: readonly KubeObject[],
  notes: Notes,
  signal: AbortSignal,
): Promise<KubeEvent[]> {
  const byNamespace = Map.groupBy(objects, ({ metadata }) => metadata.namespace || 'default');
  const events: KubeEvent[] = [];
  for (const [namespace, members] of byNamespace) {
    const uids = new Set(members.map(({ metadata }) => metadata.uid));
    await notes.attempt(`events in ${namespace}`, async () => {
      let readCount = 0;
      for await (const page of cluster.listPages(eventKind, { namespace }, signal)) {
        for (const event of page) if (uids.has(textAt(event, 'involvedObject', 'uid'))) events.push(toEvent(event));
        readCount += page.length;
        if (readCount < maxRead) continue;
        notes.add(`events in ${namespace}: only ${maxRead} were looked at`);
        break;
      }
    });
  }
  events.sort(newestFirst);
  let bytes = 0;
  const included = events.slice(0, maxEvents).filter(({ message }) => {
    bytes += 300 + Buffer.byteLength(message);
    return bytes <= maxBytes;
  });
  if (included.length < events.length) notes.add(`${events.length - included.length} older events were left out`);
  return included;
}
