import { mapConcurrent } from '../concurrency/semaphore.ts';
import { type KubeObject, keyOf, type ObjectId, stackLabel } from '../object/kube-object.ts';
import { errorMessage, hasStatus } from './api-error.ts';
import type { Cluster } from './cluster.ts';
import { isAnswerOfGroup } from './discovery.ts';

/** Maximum number of concurrent requests of one pass, so that a slow stack leaves room for others. */
export const passConcurrency = 6;
/** From this many objects of one kind on, one list by label is cheaper than one request for each. */
const minListedObjects = 10;

/**
 * Reads live objects, by key; objects that do not exist are left out. Reads the objects that the stack has already by one list for
 * each kind, and by name what such a list lacks or what may not be listed.
 */
export async function readLive(
  cluster: Cluster,
  ids: readonly ObjectId[],
  { stackId, known }: { stackId: string; known: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<Map<string, KubeObject>> {
  const live = new Map<string, KubeObject>();
  const byKind = Map.groupBy(ids, ({ apiVersion, kind }) => `${apiVersion}/${kind}`);
  const listedGroups = [...byKind.values()].filter(
    (group) => group.filter((id) => known.has(keyOf(id))).length >= minListedObjects,
  );
  await mapConcurrent(listedGroups, passConcurrency, async (group) => {
    const [first] = group as [ObjectId];
    const namespaces = new Set(group.map(({ namespace }) => namespace));
    const wanted = new Set(group.map(keyOf));
    const labelSelector = `${stackLabel}=${stackId}`;
    /** Returns false when the agent may not list the kind there. */
    const list = async (namespace: string): Promise<boolean> => {
      try {
        for await (const page of cluster.listPages(first, { namespace, labelSelector }, signal)) {
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
  const unread = ids.filter((id) => !live.has(keyOf(id)));
  await mapConcurrent(unread, passConcurrency, async (id) => {
    const object = await cluster.get(id, signal);
    if (object) live.set(keyOf(id), object);
  });
  return live;
}

/** An item whose API does not answer, with what was answered instead. */
export interface UnreadItem<Item = { readonly id: ObjectId }> {
  readonly item: Item;
  readonly message: string;
}

/** Reads live objects like `readLive`, and tells which could not be read because the API that serves them alone does not answer. */
export async function readAnswering<Item extends { readonly id: ObjectId }>(
  cluster: Cluster,
  items: readonly Item[],
  stackId: string,
  signal: AbortSignal,
): Promise<{ live: Map<string, KubeObject>; unread: UnreadItem<Item>[] }> {
  const live = new Map<string, KubeObject>();
  const unread: UnreadItem<Item>[] = [];
  const known = new Set(items.map(({ id }) => keyOf(id)));
  for (const [apiVersion, group] of Map.groupBy(items, ({ id }) => id.apiVersion)) {
    const ids = group.map(({ id }) => id);
    try {
      for (const [key, object] of await readLive(cluster, ids, { stackId, known }, signal)) live.set(key, object);
    } catch (error) {
      if (!isAnswerOfGroup(error, apiVersion) || hasStatus(error, 404)) throw error;
      unread.push(...group.map((item) => ({ item, message: errorMessage(error) })));
    }
  }
  return { live, unread };
}
