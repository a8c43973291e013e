import { mapConcurrent } from '../concurrency/semaphore.ts';
import { type KubeObject, keyOf, type ObjectId, stackLabel } from '../object/kube-object.ts';
import { hasStatus } from './api-error.ts';
import type { Cluster } from './client.ts';

/** Requests of one pass at the same time, so that a slow stack leaves room for others. */
export const passConcurrency = 6;
/** From this many objects of one kind on, a list by label is cheaper than asking for each. */
const listFrom = 10;

/**
 * Reads the objects as they are; what is missing is missing from the answer. Objects that the stack has already are read by lists, a
 * kind each, and what those do not have, or what may not be listed, by name.
 */
export async function readLive(
  cluster: Cluster,
  ids: readonly ObjectId[],
  { stackId, known }: { stackId: string; known: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<Map<string, KubeObject>> {
  const live = new Map<string, KubeObject>();
  const byKind = Map.groupBy(ids, ({ apiVersion, kind }) => `${apiVersion}/${kind}`);
  const large = [...byKind.values()].filter((group) => group.filter((id) => known.has(keyOf(id))).length >= listFrom);
  await mapConcurrent(large, passConcurrency, async (group) => {
    const [first] = group as [ObjectId];
    const namespaces = new Set(group.map(({ namespace }) => namespace));
    const wanted = new Set(group.map(keyOf));
    const labelSelector = `${stackLabel}=${stackId}`;
    /** False when that may not be listed. */
    const list = async (namespace: string): Promise<boolean> => {
      try {
        for await (const page of cluster.pages(first, { namespace, labelSelector }, signal)) {
          for (const object of page) {
            const key = keyOf({ ...first, namespace: object.metadata.namespace ?? '', name: object.metadata.name });
            if (wanted.has(key)) live.set(key, object);
          }
        }
        return true;
      } catch (error) {
        if (hasStatus(error, 403)) return false;
        throw error;
      }
    };
    if (namespaces.size > 1 && (await list(''))) return;
    for (const namespace of namespaces) await list(namespace);
  });
  const left = ids.filter((id) => !live.has(keyOf(id)));
  await mapConcurrent(left, passConcurrency, async (id) => {
    const found = await cluster.get(id, signal);
    if (found) live.set(keyOf(id), found);
  });
  return live;
}
