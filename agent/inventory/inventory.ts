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
  layOut,
  type ShardPlan,
  type StoredShard,
} from './shards.ts';

export type { Header, Item } from './shards.ts';

/** What a stack has in the cluster, as far as the agent knows: the only things it ever deletes. */
export interface Inventory {
  readonly stackId: string;
  /** Undefined when the header is missing. */
  readonly header: Header | undefined;
  readonly items: ReadonlyMap<string, Item>;
  /** False when a shard or the header is missing: then nothing may be pruned, since what is here is not all. */
  readonly whole: boolean;
  readonly shards: readonly StoredShard[];
}

/** Somebody else has written meanwhile: read again, plan again. */
export class InventoryConflict extends Error {
  override readonly name = 'InventoryConflict';
}

export interface Inventories {
  /** Of every stack that has one. */
  loadAll(signal: AbortSignal): Promise<Map<string, Inventory>>;
  load(stackId: string, signal: AbortSignal): Promise<Inventory>;
  /**
   * Makes the stored inventory say this; writes only shards that change, and none when nothing does. Answers it as it is then stored.
   * Throws InventoryConflict when it is not as it was loaded.
   */
  save(
    inventory: Inventory,
    header: Omit<Header, 'shards'>,
    items: Iterable<Item>,
    signal: AbortSignal,
  ): Promise<Inventory>;
  /** Throws InventoryConflict when the header is not as it was loaded: whoever begins something newer writes it first. */
  confirm(inventory: Inventory, signal: AbortSignal): Promise<void>;
  remove(inventory: Inventory, signal: AbortSignal): Promise<void>;
  /** Whether an object would be read as an inventory, so that no stack may hold it: it could make the agent delete anything. */
  isInventory(object: KubeObject): boolean;
}

const inventoryLabel = 'k8s.brokkr.io/inventory-of';
const configMaps = { apiVersion: 'v1', kind: 'ConfigMap' } as const;

export function createInventories(cluster: Cluster, namespace: string): Inventories {
  const idOfShard = (stackId: string, index: number): ObjectId => ({
    ...configMaps,
    namespace,
    name: `brokkr-inv-${stackId}-${index}`,
  });

  /** Never empty because of a 404: the API server has a list even for a namespace that is missing, so that is another's answer. */
  const read = async (labelSelector: string, signal: AbortSignal): Promise<KubeObject[]> => {
    const found: KubeObject[] = [];
    for await (const { objects } of cluster.listVersioned(configMaps, { namespace, labelSelector }, signal))
      found.push(...objects);
    return found;
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
      // With its namespace: what was there is lost, and a new one begins.
      if (isGone && resourceVersion === undefined) await ensureNamespace(cluster, namespace, signal);
      if (isGone || hasStatus(error, 409)) throw conflictOf(stackId, error);
      throw error;
    }
  };

  return {
    async loadAll(signal) {
      const found = await read(inventoryLabel, signal);
      const byStack = Map.groupBy(found, ({ metadata }) => metadata.labels?.[inventoryLabel] ?? '');
      return new Map([...byStack].map(([stackId, objects]) => [stackId, assemble(stackId, objects)]));
    },
    async load(stackId, signal) {
      return assemble(stackId, await read(`${inventoryLabel}=${stackId}`, signal));
    },
    async save(inventory, header, items, signal) {
      const { stackId, shards } = inventory;
      const plans = layOut(shards, header, items);
      const saved = new Map(shards.map((shard) => [shard.index, shard]));
      // The header last: until it counts a new shard, the old ones are a whole inventory.
      for (const plan of plans.toReversed()) saved.set(plan.index, await write(stackId, plan, signal));
      return plans.length === 0 ? inventory : gather(stackId, [...saved.values()]);
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

function assemble(stackId: string, objects: readonly KubeObject[]): Inventory {
  const prefix = `brokkr-inv-${stackId}-`;
  const shards = objects.flatMap((object) => {
    const index = Number(object.metadata.name.slice(prefix.length));
    if (!object.metadata.name.startsWith(prefix) || !Number.isInteger(index)) return [];
    return [{ index, resourceVersion: object.metadata.resourceVersion ?? '', ...readShard(object) }];
  });
  return gather(stackId, shards);
}

function gather(stackId: string, shards: readonly StoredShard[]): Inventory {
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
