import { mapConcurrent } from '../../concurrency/semaphore.ts';
import type { Inventory, InventoryItem } from '../../inventory/inventory.ts';
import { errorMessage, hasStatus } from '../../kube/api-error.ts';
import { passConcurrency, readAnswering, type UnreadItem } from '../../kube/read-objects.ts';
import type { LiveObjects } from '../../object/desired-object.ts';
import { displayName, keyOf } from '../../object/kube-object.ts';
import { type Change, eventOf } from '../../target/stack-event.ts';
import type { Entry } from '../../target/target-state.ts';
import type { Pass, PassResult, SyncContext } from '../context.ts';
import { findHeldDeletions, type HeldDeletions, unseenKey } from '../deletion-protection.ts';
import { createFence, fenceMaxAgeMs } from '../fencing.ts';
import { releaseObject } from '../ownership/release.ts';
import { type PrunePlan, planPrune } from '../plan-prune.ts';
import { describeHandOver, describeReleased, describeTerminating, type PruneOutcome, pruneObjects } from '../prune.ts';
import { headerFor, restoreInventory } from '../rebuild-inventory.ts';
import { loadSiblings, removedWithIn } from '../siblings.ts';
import { uidsOfOtherStacks } from '../stack-context.ts';
import type { PassState, StageResult } from '../stage.ts';
import type { InventoryLoaded, InventoryStored } from './prepare.ts';
import { awaiting, holdBack, manifestsMissing, summary, unsettled } from './results.ts';

/**
 * Restores an incomplete inventory from the marks of the kinds that the entry names. The pass that does so ends; it also ends when
 * there is nothing to remove, or when the search itself needs a confirmation.
 */
export async function restoreForRemoval({
  context,
  pass,
  stored,
}: PassState & InventoryStored): Promise<StageResult<InventoryLoaded>> {
  const { entry } = pass;
  if (stored.whole) return { next: { inventory: stored } };
  const restored = await restoreWherePermitted(context, pass, stored);
  if ('kind' in restored) return { stop: restored };
  if (restored.shards.length > 0) return { stop: { kind: 'repeat' } };
  const message = 'there was nothing to remove';
  return {
    stop: entry.held ? holdRemoval(entry, message) : { kind: 'settled', event: eventOf(entry, 'removed', message) },
  };
}

/**
 * Restores the inventory as the stack's ServiceAccount, which may not be allowed to search everywhere. Then the removal could leave
 * objects behind: it is held, and once that is confirmed the search covers only the namespaces in which the agent has objects.
 */
async function restoreWherePermitted(
  context: SyncContext,
  pass: Pass,
  stored: Inventory,
): Promise<Inventory | PassResult> {
  const { entry } = pass;
  const key = unseenKey(entry.stackId);
  const isConfirmed = entry.confirmed && entry.confirmedKeys.includes(key);
  const [accountNamespace = ''] = entry.serviceAccount.split('/');
  const namespaces = isConfirmed
    ? new Set([accountNamespace, ...context.ownership.namespaces()].filter((name) => name !== ''))
    : undefined;
  try {
    return await restoreInventory(context, pass, stored, entry.kinds.flatMap(toKind), namespaces);
  } catch (error) {
    if (entry.serviceAccount === '' || !hasStatus(error, 403)) throw error;
    const unseen = `its inventory is missing, and its objects may not be listed everywhere: ${errorMessage(error)}`;
    const message = `${unseen}; once confirmed, what is found where account ${entry.serviceAccount} may list is deleted, and the rest stays`;
    const held: HeldDeletions = { changes: [], keys: [key] };
    return entry.held ? holdRemoval(entry, message, held) : holdBack(entry, message, held);
  }
}

/** With the deletion policy `orphan`, takes the stack's marks off its objects and ends the pass. */
export async function releaseOrphans({
  context,
  pass,
  inventory,
}: PassState & InventoryLoaded): Promise<StageResult<object>> {
  const { cluster, inventories, ownership } = context;
  const { entry, signal } = pass;
  if (entry.onDelete !== 'orphan') return { next: {} };
  if (entry.held) return { stop: holdRemoval(entry, `${inventory.items.size} objects would be left where they are`) };
  const items = [...inventory.items.values()];
  const own = items.filter(({ id }) => (ownership.ownerOf(keyOf(id)) ?? entry.stackId) === entry.stackId);
  const fence = createFence(inventories, inventory, signal);
  const released = await mapConcurrent(own, passConcurrency, async (item) => {
    await fence(fenceMaxAgeMs);
    return releaseObject(cluster, item, entry.stackId, signal);
  });
  const contended = own.find((_, index) => !released[index]);
  if (contended) {
    const message = `${displayName(contended.id)} is written by somebody else all the time`;
    return { stop: unsettled(pass, 'removal_failed', message, []) };
  }
  await inventories.save(inventory, headerFor(pass, true), [], signal);
  ownership.forgetItems(entry.stackId, inventory.items.keys());
  const event = eventOf(entry, 'removed', `${own.length} objects were left where they are`);
  return { stop: { kind: 'settled', event } };
}

export interface RemovalPlanned {
  readonly items: readonly InventoryItem[];
  readonly live: LiveObjects;
  /** The decision about each item that could be read. */
  readonly plan: PrunePlan;
  /** Items of an API that does not answer: they stay in the inventory. */
  readonly unread: readonly UnreadItem[];
}

/** Decides by `planPrune` what becomes of each object; the pass ends while a manifest of a sibling is missing. */
export async function planRemoval({
  context,
  pass,
  inventory,
}: PassState & InventoryLoaded): Promise<StageResult<RemovalPlanned>> {
  const { entry, signal } = pass;
  const { stackId } = entry;
  const items = [...inventory.items.values()];
  const siblings = await loadSiblings(context, entry, items.length > 0);
  if (siblings.missing.length > 0) return { stop: awaiting(pass, manifestsMissing) };
  const { live, unread } = await readAnswering(context.cluster, items, stackId, signal);
  const isRead = (item: InventoryItem) => !unread.some((other) => other.item === item);
  const plan = planPrune(
    {
      stackId,
      live,
      ownerOf: context.ownership.ownerOf,
      isDesiredElsewhere: siblings.isDesired,
      uidsInUse: uidsOfOtherStacks(context, stackId),
    },
    items.filter(isRead),
  );
  return { next: { items, live, plan, unread } };
}

/** Ends the pass when the deletions, or the whole removal, wait for a confirmation. */
export async function holdRemovalDeletions({
  context,
  pass,
  live,
  plan,
}: PassState & RemovalPlanned): Promise<StageResult<object>> {
  const { entry, signal } = pass;
  const { prune } = plan;
  const removedWith = removedWithIn(context, entry.stackId, prune);
  const deletions = { entry, toDelete: prune, live, maxDeletions: context.maxDeletions, removedWith };
  const held = await findHeldDeletions(context.cluster, deletions, signal);
  if (entry.held) {
    const named = new Set(held.changes.map(({ object }) => object));
    const others = prune.flatMap(({ id }): Change[] =>
      named.has(id) ? [] : [{ object: id, action: 'held', message: 'would be deleted' }],
    );
    const message = summary(`${prune.length} objects would be deleted`, held.changes);
    return { stop: holdRemoval(entry, message, { ...held, changes: [...held.changes, ...others] }) };
  }
  if (held.changes.length > 0) {
    const message = summary(`${prune.length} deletions wait for a confirmation`, held.changes);
    return { stop: holdBack(entry, message, held) };
  }
  if (held.awaited !== undefined) return { stop: awaiting(pass, held.awaited) };
  return { next: {} };
}

export interface RemovalPruned {
  readonly pruned: PruneOutcome;
  /** Items that are still in the inventory. */
  readonly remaining: readonly InventoryItem[];
}

/**
 * Deletes and releases what the plan says. The header stays once nothing is left, marked as removed, to reject outdated entries.
 */
export async function pruneForRemoval({
  context,
  pass,
  inventory,
  items,
  live,
  plan,
}: PassState & InventoryLoaded & RemovalPlanned): Promise<StageResult<RemovalPruned>> {
  const pruned = await pruneObjects(context, pass, plan, live, inventory);
  const remaining = items.filter(({ id }) => !pruned.endedKeys.has(keyOf(id)));
  await context.inventories.save(inventory, headerFor(pass, remaining.length === 0), remaining, pass.signal);
  context.ownership.forgetItems(pass.entry.stackId, pruned.endedKeys);
  return { next: { pruned, remaining } };
}

/** Reports what became of the removal: settled once nothing is left. */
export function reportRemoval({
  pass,
  plan,
  unread,
  pruned,
  remaining,
}: PassState & RemovalPlanned & RemovalPruned): PassResult {
  const { failures, terminating, skipped, released, changes } = pruned;
  if (failures.length > 0) {
    const message = summary('some objects were not deleted', failures);
    return unsettled(pass, 'removal_failed', message, [...failures, ...changes]);
  }
  if (terminating.length > 0) return awaiting(pass, describeTerminating(terminating), changes);
  const [handedOver] = [...plan.handOver, ...skipped];
  if (handedOver) return awaiting(pass, describeHandOver(handedOver), changes);
  const [silent] = unread;
  // The removal of an APIService may have taken the group out of the API: then the next pass finds nothing of it.
  if (silent && changes.length === 0) {
    const message = `${displayName(silent.item.id)} could not be looked at: ${silent.message}`;
    return unsettled(pass, 'removal_failed', message, changes);
  }
  if (remaining.length > 0) return { kind: 'repeat' };
  return { kind: 'settled', event: eventOf(pass.entry, 'removed', describeReleased(released), changes) };
}

function toKind(text: string): { apiVersion: string; kind: string }[] {
  const slash = text.lastIndexOf('/');
  return slash < 1 ? [] : [{ apiVersion: text.slice(0, slash), kind: text.slice(slash + 1) }];
}

/** Ends the pass of a removal that the broker holds, and says what a confirmation would do. */
function holdRemoval(entry: Entry, message: string, held: HeldDeletions = { changes: [], keys: [] }): PassResult {
  return holdBack(
    entry,
    `the removal was requested before a new epoch, and waits for a confirmation: ${message}`,
    held,
  );
}
