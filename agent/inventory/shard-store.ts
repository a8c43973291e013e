import { hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { ensureNamespace } from '../kube/cluster-identity.ts';
import { type KubeObject, keyOf, type ObjectId, textAt } from '../object/kube-object.ts';
import {
  headerOf,
  headerText,
  type InventoryItem,
  itemOf,
  itemText,
  runsIn,
  runText,
  type ShardPlan,
  type StoredShard,
} from './shards.ts';

/** Another process has written the inventory since it was loaded: the pass has to load it and plan again. */
export class InventoryConflict extends Error {
  override readonly name = 'InventoryConflict';
}

/** Reads and writes the shards of inventories, each a ConfigMap. */
export interface ShardStore {
  /** Loads the shards of all stacks, by stack id. */
  loadAll(signal: AbortSignal): Promise<Map<string, StoredShard[]>>;
  load(stackId: string, signal: AbortSignal): Promise<StoredShard[]>;
  /** Writes a shard. Rejects with InventoryConflict when the stored one has another version, or does not exist any more. */
  write(stackId: string, plan: ShardPlan, signal: AbortSignal): Promise<StoredShard>;
  /** Returns the version of a stored shard; undefined when it does not exist. */
  versionOf(stackId: string, index: number, signal: AbortSignal): Promise<string | undefined>;
  remove(stackId: string, index: number, signal: AbortSignal): Promise<void>;
  /** Returns whether the object would be read as a shard. */
  isShard(object: KubeObject): boolean;
}

const inventoryLabel = 'k8s.brokkr.io/inventory-of';
const namePrefix = 'brokkr-inv-';
const configMapKind = { apiVersion: 'v1', kind: 'ConfigMap' } as const;

/** Creates the store in a namespace, which it creates when it is missing. */
export function createShardStore(cluster: Cluster, namespace: string): ShardStore {
  const idOf = (stackId: string, index: number): ObjectId => ({
    ...configMapKind,
    namespace,
    name: `${namePrefix}${stackId}-${index}`,
  });
  /** Rejects on a 404: the API server returns a list even for a missing namespace, so such a response comes from something else. */
  const list = async (labelSelector: string, signal: AbortSignal): Promise<KubeObject[]> => {
    const shards: KubeObject[] = [];
    for await (const { objects } of cluster.listVersioned(configMapKind, { namespace, labelSelector }, signal))
      shards.push(...objects);
    return shards;
  };
  return {
    async loadAll(signal) {
      const objects = await list(inventoryLabel, signal);
      const byStack = Map.groupBy(objects, ({ metadata }) => metadata.labels?.[inventoryLabel] ?? '');
      return new Map([...byStack].map(([stackId, own]) => [stackId, shardsIn(stackId, own)]));
    },
    async load(stackId, signal) {
      return shardsIn(stackId, await list(`${inventoryLabel}=${stackId}`, signal));
    },
    async write(stackId, plan, signal) {
      const { index, header, items, resourceVersion } = plan;
      const object = shardObject(idOf(stackId, index), stackId, plan);
      try {
        const stored = await (resourceVersion === undefined
          ? cluster.create(object, signal)
          : cluster.replace(object, signal));
        return { index, resourceVersion: stored.metadata.resourceVersion ?? '', header, items };
      } catch (error) {
        const isGone = hasStatus(error, 404);
        // The namespace itself is gone, and the inventory with it: the next attempt starts a new one.
        if (isGone && resourceVersion === undefined) await ensureNamespace(cluster, namespace, signal);
        if (isGone || hasStatus(error, 409)) throw conflictOf(stackId, error);
        throw error;
      }
    },
    async versionOf(stackId, index, signal) {
      return (await cluster.getMetadata(idOf(stackId, index), signal))?.metadata.resourceVersion;
    },
    async remove(stackId, index, signal) {
      const live = await cluster.get(idOf(stackId, index), signal);
      if (live?.metadata.uid) await cluster.remove(idOf(stackId, index), live.metadata.uid, signal);
    },
    isShard({ kind, metadata }) {
      if (kind !== 'ConfigMap' || metadata.namespace !== namespace) return false;
      return metadata.name.startsWith(namePrefix) || metadata.labels?.[inventoryLabel] !== undefined;
    },
  };
}

/** Creates the error for an inventory that another process has written. */
export function conflictOf(stackId: string, cause?: unknown): InventoryConflict {
  return new InventoryConflict(`the inventory of stack ${stackId} was written by somebody else`, { cause });
}

function shardObject({ name, namespace }: ObjectId, stackId: string, plan: ShardPlan): KubeObject {
  const { header, items, resourceVersion } = plan;
  const runs = items.flatMap((item) => runText(item) ?? []);
  return {
    ...configMapKind,
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/managed-by': 'brokkr', [inventoryLabel]: stackId },
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    data: {
      ...(header && { header: headerText(header) }),
      items: items.map(itemText).join('\n'),
      ...(runs.length > 0 && { runs: runs.join('\n') }),
    },
  };
}

/** Reads the shards among ConfigMaps with a stack's label; others whose name is none of a shard's are ignored. */
function shardsIn(stackId: string, objects: readonly KubeObject[]): StoredShard[] {
  const prefix = `${namePrefix}${stackId}-`;
  return objects.flatMap((object) => {
    const index = Number(object.metadata.name.slice(prefix.length));
    if (!object.metadata.name.startsWith(prefix) || !Number.isInteger(index)) return [];
    const linesOf = (name: string) => (textAt(object, 'data', name) ?? '').split('\n');
    const runs = runsIn(linesOf('runs'));
    const withRun = (item: InventoryItem): InventoryItem => {
      const run = runs.get(keyOf(item.id));
      return run ? { ...item, run } : item;
    };
    return [
      {
        index,
        resourceVersion: object.metadata.resourceVersion ?? '',
        header: headerOf(textAt(object, 'data', 'header') ?? ''),
        items: linesOf('items')
          .flatMap((line) => itemOf(line) ?? [])
          .map(withRun),
      },
    ];
  });
}
