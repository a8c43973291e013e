import type { KindId } from './cluster.ts';
import type { Inventory } from './inventory.ts';
import { keyOf } from './object.ts';
import { headerFor, type Pass, type Workshop } from './pass.ts';

/**
 * Makes an inventory that is missing, or lacks a part, whole again: what it still lists, and of these kinds what is marked as
 * applied for the stack. Nothing may be pruned in the pass that restored it. A new stack's inventory is answered as it is.
 */
export async function restoreInventory(
  shop: Workshop,
  pass: Pass,
  inventory: Inventory,
  kinds: readonly KindId[],
): Promise<Inventory> {
  const { entry, first, signal } = pass;
  const items = new Map(inventory.items);
  // What is left of a damaged one was written by this process, perhaps: then the first count may miss something.
  const sinceStart = first && inventory.shards.length === 0;
  const distinct = new Map(kinds.map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]));
  for (const kind of distinct.values()) {
    for (const item of await shop.census.find(kind, entry.stackId, { sinceStart }, signal)) {
      const key = keyOf(item.id);
      const owner = shop.ownership.ownerOf(key);
      if (owner === undefined || owner === entry.stackId) items.set(key, item);
    }
  }
  // Nothing found and nothing lost: the stack is new, and its first inventory is written with what it applies.
  if (items.size === 0 && inventory.shards.length === 0) return inventory;
  const saved = await shop.inventories.save(inventory, headerFor(pass, false), items.values(), signal);
  shop.ownership.note(entry.stackId, saved.items.values());
  return saved;
}
