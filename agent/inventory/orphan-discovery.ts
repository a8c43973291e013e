import { hasStatus } from '../kube/api-error.ts';
import type { Cluster, ListOptions } from '../kube/cluster.ts';
import { idOf, isAppliedFor, type KindId, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import type { Item } from './shards.ts';

/** Finds the objects of a stack by their marks, when its inventory is missing. */
export interface OrphanDiscovery {
  /**
   * Returns the objects of this kind that were applied for the stack. With `sinceStart`, only those that existed when the process
   * started: enough for a stack that it has not touched yet, and read once for all stacks.
   */
  list(kind: KindId, stackId: string, options: { sinceStart: boolean }, signal: AbortSignal): Promise<readonly Item[]>;
}

/** Creates the search; with `namespace`, in that namespace only. The signal ends the searches that stacks share. */
export function createOrphanDiscovery(
  cluster: Cluster,
  namespace: string | undefined,
  signal: AbortSignal,
): OrphanDiscovery {
  const shared = new Map<string, Promise<Map<string, Item[]>>>();

  const collect = async (kind: KindId, labelSelector: string, during: AbortSignal): Promise<Map<string, Item[]>> => {
    // An agent that is limited to a namespace has applied nothing outside of it, and may not list there.
    const resource = await cluster.discovery.findAnyVersion(kind.apiVersion, kind.kind, during);
    if (namespace !== undefined && resource?.namespaced === false) return new Map();
    return collectApplied(cluster, kind, { namespace: namespace ?? '', labelSelector }, during);
  };
  const collectShared = (kind: KindId) => {
    const name = `${kind.apiVersion}/${kind.kind}`;
    const earlier = shared.get(name);
    if (earlier) return earlier;
    // Several passes wait for this search, so it must not end with the pass that asked first.
    const search = collect(kind, stackLabel, signal);
    shared.set(name, search);
    search.catch(() => shared.delete(name));
    return search;
  };

  return {
    async list(kind, stackId, { sinceStart }, during) {
      const found = await (sinceStart ? collectShared(kind) : collect(kind, `${stackLabel}=${stackId}`, during));
      return found.get(stackId) ?? [];
    },
  };
}

/** Returns the objects that were applied for stacks, by stack id. */
async function collectApplied(
  cluster: Cluster,
  kind: KindId,
  options: ListOptions,
  signal: AbortSignal,
): Promise<Map<string, Item[]>> {
  const found = new Map<string, Item[]>();
  for await (const page of cluster.listPages(kind, options, signal)) {
    for (const object of page) {
      const stackId = object.metadata.labels?.[stackLabel] ?? '';
      if (isAppliedFor(object, stackId)) found.set(stackId, [...(found.get(stackId) ?? []), itemOf(object)]);
    }
  }
  return found;
}

/** Finds the objects of one stack in these namespaces, and skips those where the agent may not list. */
export async function findWithin(
  cluster: Cluster,
  kind: KindId,
  stackId: string,
  namespaces: Iterable<string>,
  signal: AbortSignal,
): Promise<Item[]> {
  const found = new Map<string, Item>();
  for (const namespace of namespaces) {
    try {
      const options = { namespace, labelSelector: `${stackLabel}=${stackId}` };
      const items = (await collectApplied(cluster, kind, options, signal)).get(stackId) ?? [];
      for (const item of items) found.set(keyOf(item.id), item);
    } catch (error) {
      if (!hasStatus(error, 403)) throw error;
    }
  }
  return [...found.values()];
}

function itemOf(object: KubeObject): Item {
  return { id: idOf(object), uid: object.metadata.uid ?? '' };
}
