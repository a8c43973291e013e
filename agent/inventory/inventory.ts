import type { Cluster } from '../kube/cluster.ts';
import { type KubeObject, keyOf } from '../object/kube-object.ts';
import { conflictOf, createShardStore } from './shard-store.ts';
import { type Header, type Item, planShards, type StoredShard } from './shards.ts';

export { InventoryConflict } from './shard-store.ts';
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

/** Creates the access to the inventories in this namespace. */
export function createInventories(cluster: Cluster, namespace: string): Inventories {
  const store = createShardStore(cluster, namespace);
  return {
    async loadAll(signal) {
      const byStack = await store.loadAll(signal);
      return new Map([...byStack].map(([stackId, shards]) => [stackId, combineShards(stackId, shards)]));
    },
    async load(stackId, signal) {
      return combineShards(stackId, await store.load(stackId, signal));
    },
    async save(inventory, header, items, signal) {
      const { stackId, shards } = inventory;
      const plans = planShards(shards, header, items);
      const saved = new Map(shards.map((shard) => [shard.index, shard]));
      // The header goes last: until it counts a new shard, the old shards are a complete inventory.
      for (const plan of plans.toReversed()) saved.set(plan.index, await store.write(stackId, plan, signal));
      return plans.length === 0 ? inventory : combineShards(stackId, [...saved.values()]);
    },
    async confirm({ stackId, shards }, signal) {
      const loaded = shards.find(({ index }) => index === 0)?.resourceVersion;
      if ((await store.versionOf(stackId, 0, signal)) !== loaded) throw conflictOf(stackId);
    },
    async remove({ stackId, shards }, signal) {
      for (const { index } of shards.toSorted((left, right) => right.index - left.index))
        await store.remove(stackId, index, signal);
    },
    isInventory: store.isShard,
  };
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
