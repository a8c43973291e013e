import type { Header, Inventory } from '../inventory/inventory.ts';
import { findWithin } from '../inventory/orphan-discovery.ts';
import { hasStatus } from '../kube/api-error.ts';
import { type KindId, keyOf } from '../object/kube-object.ts';
import { fullName, type Pass, type SyncContext } from './context.ts';

/**
 * Completes an inventory that is missing or lacks a part: adds the objects of these kinds that carry the stack's marks. The pass
 * that restored an inventory must not prune. The inventory of a new stack is returned as it is.
 *
 * An agent that may only impersonate ServiceAccounts cannot search the whole cluster. With `namespaces` it then searches these as
 * the stack's account, and never prunes what that account cannot see. In that case the inventory of a new stack is written at once,
 * because a removal without an inventory would have to search everywhere.
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
  // This process may have written the rest of a damaged inventory: then a search of what was there at the start may miss objects.
  const sinceStart = isFirst && inventory.shards.length === 0;
  const distinctKinds = new Map(kinds.map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]));
  let isNarrowed = false;
  const search = async (kind: KindId) => {
    try {
      return await context.orphanDiscovery.list(kind, entry.stackId, { sinceStart }, signal);
    } catch (error) {
      if (!namespaces || entry.serviceAccount === '' || !hasStatus(error, 403)) throw error;
      isNarrowed = true;
      return findWithin(context.cluster, kind, entry.stackId, namespaces, signal);
    }
  };
  for (const kind of distinctKinds.values()) {
    for (const item of await search(kind)) {
      const key = keyOf(item.id);
      const owner = context.ownership.ownerOf(key);
      if (owner === undefined || owner === entry.stackId) items.set(key, item);
    }
  }
  // Nothing was found and nothing was lost: the stack is new, and the pass writes its first inventory.
  if (items.size === 0 && inventory.shards.length === 0 && !isNarrowed) return inventory;
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
