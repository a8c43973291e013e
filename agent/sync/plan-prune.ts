import type { InventoryItem } from '../inventory/shards.ts';
import type { LiveObjects } from '../object/desired-object.ts';
import {
  isAppliedFor,
  isNamespace,
  isPruneDisabled,
  type KubeObject,
  keyOf,
  type ObjectId,
  stackLabel,
} from '../object/kube-object.ts';

export interface PruneInput {
  readonly stackId: string;
  readonly live: LiveObjects;
  /** Returns the stack that an object belongs to, by key. */
  readonly ownerOf: (key: string) => string | undefined;
  /** Returns whether another active stack of the same generator desires the object. */
  readonly isDesiredElsewhere: (key: string) => boolean;
  /** Uids of objects that are in use under another key, which must not be deleted under this one. */
  readonly uidsInUse: ReadonlySet<string>;
}

/** The inventory items that a stack no longer lists, sorted by what becomes of each. */
export interface PrunePlan {
  /** Objects to delete, each with the uid that must still be there. */
  readonly prune: readonly InventoryItem[];
  /** Objects whose annotation forbids deletion, or that no cluster deletes: they stay, without the stack's marks. */
  readonly release: readonly InventoryItem[];
  /** Objects that are gone or belong to somebody else: only the inventory item goes. */
  readonly drop: readonly InventoryItem[];
  /** Objects that stay until the stack that desires them has taken them over. */
  readonly handOver: readonly InventoryItem[];
}

/** Decides for each item that a stack no longer lists whether its object is pruned, released, dropped or handed over. */
export function planPrune(input: PruneInput, unlisted: readonly InventoryItem[]): PrunePlan {
  const { stackId, live, ownerOf, isDesiredElsewhere, uidsInUse } = input;
  const prune: InventoryItem[] = [];
  const release: InventoryItem[] = [];
  const drop: InventoryItem[] = [];
  const handOver: InventoryItem[] = [];
  for (const item of unlisted) {
    const key = keyOf(item.id);
    const object = live.get(key);
    const owner = ownerOf(key);
    if (!object || (owner !== undefined && owner !== stackId)) drop.push(item);
    else if (isDesiredElsewhere(key)) handOver.push(item);
    else if (object.metadata.uid !== undefined && uidsInUse.has(object.metadata.uid)) drop.push(item);
    else if (isOwn(stackId, item, object))
      (isPruneDisabled(object) || isPermanent(item.id) ? release : prune).push({
        id: item.id,
        uid: object.metadata.uid ?? '',
      });
    else drop.push(item);
  }
  return { prune, release, drop, handOver };
}

const permanentNamespaces: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public', 'kube-node-lease']);

/** Returns whether the object belongs to every cluster, and may not be deleted. */
export function isPermanent(id: ObjectId): boolean {
  return isNamespace(id) && permanentNamespaces.has(id.name);
}

/**
 * Returns whether the live object is the one that was applied: nobody recreated it, made it a dependent, or labelled it for another
 * stack.
 */
function isOwn(stackId: string, item: InventoryItem, object: KubeObject): boolean {
  const { metadata } = object;
  if ((metadata.ownerReferences?.length ?? 0) > 0) return false;
  const label = metadata.labels?.[stackLabel];
  if (item.uid === '') return isAppliedFor(object, stackId);
  return item.uid === metadata.uid && (label === undefined || label === stackId);
}
