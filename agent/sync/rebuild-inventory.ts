import type { Header, Inventory } from '../inventory/inventory.ts';
import { findWithin } from '../inventory/orphan-discovery.ts';
import { hasStatus } from '../kube/api-error.ts';
import { type KindId, keyOf } from '../object/kube-object.ts';
import { fullName, type Pass, type SyncContext } from './context.ts';

/**
 * Makes an inventory that is missing, or lacks a part, whole again: what it still lists, and of these kinds what is marked as
 * applied for the stack. Nothing may be pruned in the pass that restored it. A new stack's inventory is answered as it is.
 *
 * An agent that may only act as ServiceAccounts may not look for itself. With `namespaces` the stack's account looks there, and what it
 * does not see is never pruned. Then a new stack's inventory is written at once: without one, a removal would have to look everywhere.
 */
export async function restoreInventory(
  context: SyncContext,
  pass: Pass,
  inventory: Inventory,
  kinds: readonly KindId[],
  namespaces?: ReadonlySet<string>,
): Promise<Inventory> {
  const { entry, isFirst, signal } = pass;
  const items = new Map(inventory.items);
  // What is left of a damaged one was written by this process, perhaps: then the first count may miss something.
  const sinceStart = isFirst && inventory.shards.length === 0;
  const distinct = new Map(kinds.map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]));
  let narrow = false;
  const look = async (kind: KindId) => {
    try {
      return await context.orphanDiscovery.list(kind, entry.stackId, { sinceStart }, signal);
    } catch (error) {
      if (!namespaces || entry.serviceAccount === '' || !hasStatus(error, 403)) throw error;
      narrow = true;
      return findWithin(context.cluster, kind, entry.stackId, namespaces, signal);
    }
  };
  for (const kind of distinct.values()) {
    for (const item of await look(kind)) {
      const key = keyOf(item.id);
      const owner = context.ownership.ownerOf(key);
      if (owner === undefined || owner === entry.stackId) items.set(key, item);
    }
  }
  // Nothing found and nothing lost: the stack is new, and its first inventory is written with what it applies.
  if (items.size === 0 && inventory.shards.length === 0 && !narrow) return inventory;
  const saved = await context.inventories.save(inventory, headerFor(pass, false), items.values(), signal);
  context.ownership.note(entry.stackId, saved.items.values());
  return saved;
}

/** Returns the inventory header for a pass that has begun, or, with `removed`, that has removed the stack. */
export function headerFor({ entry, epoch }: Pick<Pass, 'entry' | 'epoch'>, removed: boolean): Omit<Header, 'shards'> {
  const { generator, order, generation, deploymentId } = entry;
  return { stack: fullName(entry), generator, epoch, order, generation, deploymentId, removed };
}

/** Returns the inventory's header when another process wrote it for a newer order than this pass is about. */
export function newerThan({ entry, epoch }: Pass, { header }: Inventory): Header | undefined {
  const isNewer = header && (header.epoch > epoch || (header.epoch === epoch && header.order > entry.order));
  return isNewer ? header : undefined;
}
