import { hasStatus } from '../kube/api-error.ts';
import type { Cluster, ListOptions } from '../kube/cluster.ts';
import { idOf, isAppliedFor, type KindId, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import type { Item } from './shards.ts';

/** Finds what was applied for a stack by its marks, for when the inventory is not there to tell. */
export interface OrphanDiscovery {
  /**
   * Objects of this kind that were applied for the stack. `sinceStart` asks for those that were there when the process started, which
   * is all there can be of a stack that it has not touched yet; they are read once for all stacks.
   */
  list(kind: KindId, stackId: string, options: { sinceStart: boolean }, signal: AbortSignal): Promise<readonly Item[]>;
}

/** Looks in one namespace only, when `namespace` is given. */
export function createOrphanDiscovery(
  cluster: Cluster,
  namespace: string | undefined,
  signal: AbortSignal,
): OrphanDiscovery {
  const counted = new Map<string, Promise<Map<string, Item[]>>>();

  const collect = async (kind: KindId, labelSelector: string, during: AbortSignal): Promise<Map<string, Item[]>> => {
    // Limited to a namespace, it has applied nothing outside of it, and may not look there.
    const resource = await cluster.discovery.findAnyVersion(kind.apiVersion, kind.kind, during);
    if (namespace !== undefined && resource?.namespaced === false) return new Map();
    return collectApplied(cluster, kind, { namespace: namespace ?? '', labelSelector }, during);
  };
  const count = (kind: KindId) => {
    const name = `${kind.apiVersion}/${kind.kind}`;
    const known = counted.get(name);
    if (known) return known;
    // Shared by passes, so it ends with the agent, not with the pass that asked first.
    const begun = collect(kind, stackLabel, signal);
    counted.set(name, begun);
    begun.catch(() => counted.delete(name));
    return begun;
  };

  return {
    async list(kind, stackId, { sinceStart }, during) {
      const found = await (sinceStart ? count(kind) : collect(kind, `${stackLabel}=${stackId}`, during));
      return found.get(stackId) ?? [];
    },
  };
}

/** What is marked as applied for stacks, by stack. */
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

/** The same for one stack in some namespaces, as far as this access reaches. */
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
