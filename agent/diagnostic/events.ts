import type { Cluster } from '../kube/cluster.ts';
import { type KubeEvent, newestFirst, toEvent } from '../object/event.ts';
import { type KubeObject, textAt } from '../object/kube-object.ts';
import type { Notes } from './collect.ts';

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
      for await (const page of cluster.listPages(kind, { namespace }, signal)) {
        for (const event of page) if (uids.has(textAt(event, 'involvedObject', 'uid'))) events.push(toEvent(event));
        looked += page.length;
        if (looked < maxLooked) continue;
        notes.add(`events in ${namespace}: only ${maxLooked} were looked at`);
        break;
      }
    });
  }
  events.sort(newestFirst);
  let bytes = 0;
  const shown = events.slice(0, maxEvents).filter(({ message }) => {
    bytes += 300 + Buffer.byteLength(message);
    return bytes <= maxBytes;
  });
  if (shown.length < events.length) notes.add(`${events.length - shown.length} older events were left out`);
  return shown;
}
