import { hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { ensureNamespace } from '../kube/cluster-identity.ts';
import { type KubeObject, keyOf, type ObjectId, textAt } from '../object/kube-object.ts';
import {
  type Header,
  headerOf,
  headerText,
  type Item,
  itemOf,
  itemText,
  planShards,
  type ShardPlan,
  type StoredShard,
} from './shards.ts';

export type { Header, Item } from './shards.ts';

/** The objects that a stack has in the cluster, as recorded by the agent. The agent deletes only objects of an inventory. */
export interface Inventory {
  readonly stackId: string;
  /** Header of shard 0; undefined when that is missing. */
  readonly header: Header | undefined;
  readonly items: ReadonlyMap<string, Item>;
  /** False when a shard or the header is missing: then nothing may be pruned, because objects may be missing from the items. */
  readonly whole: boolean;
  readonly shards: readonly StoredShard[];
}

/** Another process has written the inventory since it was loaded: the pass has to load it and plan again. */
export class InventoryConflict extends Error {
  override readonly name = 'InventoryConflict';
}

/** Inventories of all stacks, stored in ConfigMaps of the agent's namespace. */
export interface Inventories {
  /** Loads the inventory of every stack that has one. */
  loadAll(signal: AbortSignal): Promise<Map<string, Inventory>>;
  /** Loads one inventory; without shards when the stack has none. */
  load(stackId: string, signal: AbortSignal): Promise<Inventory>;
  /**
   * Stores a new content: writes the shards that change, and returns the inventory as it is then stored. Rejects with
   * InventoryConflict when the stored one has changed since `inventory` was loaded.
   */
  save(
    inventory: Inventory,
    header: Omit<Header, 'shards'>,
    items: Iterable<Item>,
    signal: AbortSignal,
  ): Promise<Inventory>;
  /**
   * Rejects with InventoryConflict when the header has changed since the inventory was loaded, as it does when a newer order
   * begins.
   */
  confirm(inventory: Inventory, signal: AbortSignal): Promise<void>;
  /** Deletes all shards. */
  remove(inventory: Inventory, signal: AbortSignal): Promise<void>;
  /**
   * Returns whether the agent would read the object as an inventory. No stack may contain one, because it could make the agent
   * delete anything.
   */
  isInventory(object: KubeObject): boolean;
}

const inventoryLabel = 'k8s.brokkr.io/inventory-of';
const configMaps = { apiVersion: 'v1', kind: 'ConfigMap' } as const;

/** Creates the access to the inventories in this namespace. */
export function createInventories(cluster: Cluster, namespace: string): Inventories {
  const idOfShard = (stackId: string, index: number): ObjectId => ({
    ...configMaps,
    namespace,
    name: `brokkr-inv-${stackId}-${index}`,
  });

  /** Rejects on a 404: the API server returns a list even for a missing namespace, so such a response comes from something else. */
  const read = async (labelSelector: string, signal: AbortSignal): Promise<KubeObject[]> => {
    const shards: KubeObject[] = [];
    for await (const { objects } of cluster.listVersioned(configMaps, { namespace, labelSelector }, signal))
      shards.push(...objects);
    return shards;
  };
  const write = async (
    stackId: string,
    { index, header, items, resourceVersion }: ShardPlan,
    signal: AbortSignal,
  ): Promise<StoredShard> => {
    const object: KubeObject = {
      ...configMaps,
      metadata: {
        name: idOfShard(stackId, index).name,
        namespace,
        labels: { 'app.kubernetes.io/managed-by': 'brokkr', [inventoryLabel]: stackId },
        ...(resourceVersion !== undefined && { resourceVersion }),
      },
      data: {
        ...(header && { header: headerText(header) }),
        items: items.map(itemText).join('\n'),
      },
    };
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
  };

  return {
    async loadAll(signal) {
      const shards = await read(inventoryLabel, signal);
      const byStack = Map.groupBy(shards, ({ metadata }) => metadata.labels?.[inventoryLabel] ?? '');
      return new Map([...byStack].map(([stackId, objects]) => [stackId, assemble(stackId, objects)]));
    },
    async load(stackId, signal) {
      return assemble(stackId, await read(`${inventoryLabel}=${stackId}`, signal));
    },
    async save(inventory, header, items, signal) {
      const { stackId, shards } = inventory;
      const plans = planShards(shards, header, items);
      const saved = new Map(shards.map((shard) => [shard.index, shard]));
      // The header goes last: until it counts a new shard, the old shards are a complete inventory.
      for (const plan of plans.toReversed()) saved.set(plan.index, await write(stackId, plan, signal));
      return plans.length === 0 ? inventory : combineShards(stackId, [...saved.values()]);
    },
    async confirm({ stackId, shards }, signal) {
      const live = await cluster.getMetadata(idOfShard(stackId, 0), signal);
      const loaded = shards.find(({ index }) => index === 0)?.resourceVersion;
      if (live?.metadata.resourceVersion !== loaded) throw conflictOf(stackId);
    },
    async remove({ stackId, shards }, signal) {
      for (const { index } of shards.toSorted((left, right) => right.index - left.index)) {
        const live = await cluster.get(idOfShard(stackId, index), signal);
        if (live?.metadata.uid) await cluster.remove(idOfShard(stackId, index), live.metadata.uid, signal);
      }
    },
    isInventory({ kind, metadata }) {
      if (kind !== 'ConfigMap' || metadata.namespace !== namespace) return false;
      return metadata.name.startsWith('brokkr-inv-') || metadata.labels?.[inventoryLabel] !== undefined;
    },
  };
}

function conflictOf(stackId: string, cause?: unknown): InventoryConflict {
  return new InventoryConflict(`the inventory of stack ${stackId} was written by somebody else`, { cause });
}

/** Reads an inventory from its ConfigMaps. */
function assemble(stackId: string, objects: readonly KubeObject[]): Inventory {
  const prefix = `brokkr-inv-${stackId}-`;
  const shards = objects.flatMap((object) => {
    const index = Number(object.metadata.name.slice(prefix.length));
    if (!object.metadata.name.startsWith(prefix) || !Number.isInteger(index)) return [];
    return [{ index, resourceVersion: object.metadata.resourceVersion ?? '', ...readShard(object) }];
  });
  return combineShards(stackId, shards);
}

/** Combines shards to an inventory. */
function combineShards(stackId: string, shards: readonly StoredShard[]): Inventory {
  const sorted = shards.toSorted((left, right) => left.index - right.index);
  const header = sorted.find(({ index }) => index === 0)?.header;
  const items = new Map(sorted.flatMap((shard) => shard.items.map((item) => [keyOf(item.id), item] as const)));
  const present = new Set(sorted.map(({ index }) => index));
  const whole = header !== undefined && Array.from({ length: header.shards }).every((_, index) => present.has(index));
  return { stackId, header, items, whole, shards: sorted };
}

function readShard(object: KubeObject): Pick<StoredShard, 'header' | 'items'> {
  const lines = (textAt(object, 'data', 'items') ?? '').split('\n');
  return {
    header: headerOf(textAt(object, 'data', 'header') ?? ''),
    items: lines.flatMap((line) => itemOf(line) ?? []),
  };
}
