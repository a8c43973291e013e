import { mapConcurrent } from '../concurrency/semaphore.ts';
import type { Inventory, Item } from '../inventory/inventory.ts';
import { errorMessage, hasStatus } from '../kube/api-error.ts';
import { passConcurrency, readLive } from '../kube/read-objects.ts';
import { keyOf, nameOf } from '../object/kube-object.ts';
import { type Change, eventOf } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { Pass, PassResult, SyncContext } from './context.ts';
import { findHeldDeletions, type Held, unseenKey } from './deletion-protection.ts';
import { createFence } from './fencing.ts';
import { planPrune } from './plan.ts';
import {
  deleteObjects,
  describeKept,
  describeLeaving,
  describeSpared,
  guardMs,
  releaseKept,
  releaseObject,
} from './prune.ts';
import { headerFor, newerThan, restoreInventory } from './rebuild-inventory.ts';
import { holdBack, manifestsMissing, summary, unsettled } from './results.ts';
import { uidsOfOtherStacks } from './stack-context.ts';

/**
 * One pass over a stack that is to go: deletes what its inventory lists, or with `orphan` takes its marks off, and acknowledges when
 * nothing is left. The inventory's header stays, as a note against answers from before, until the broker no longer speaks of the stack.
 */
export async function removeStack(context: SyncContext, pass: Pass): Promise<PassResult> {
  const { entry, signal } = pass;
  const inventory = await context.inventories.load(entry.stackId, signal);
  const by = newerThan(pass, inventory);
  if (by) return { kind: 'overtaken', by };
  if (inventory.whole) {
    if (entry.held && entry.onDelete === 'orphan')
      return beforeEpoch(entry, `${inventory.items.size} objects would be left where they are`);
    return entry.onDelete === 'orphan' ? release(context, pass, inventory) : remove(context, pass, inventory);
  }
  const restored = await restoreUnseen(context, pass, inventory);
  if ('kind' in restored) return restored;
  if (restored.shards.length > 0) return { kind: 'repeat' };
  const nothing = 'there was nothing to remove';
  return entry.held ? beforeEpoch(entry, nothing) : { kind: 'settled', event: eventOf(entry, 'removed', nothing) };
}

/**
 * Looks for what the inventory does not tell. An agent that may only act as ServiceAccounts may not look everywhere: then the removal
 * is held, since it might leave something behind, and when that is confirmed the stack's account looks where there is anything.
 */
async function restoreUnseen(context: SyncContext, pass: Pass, inventory: Inventory): Promise<Inventory | PassResult> {
  const { entry } = pass;
  const key = unseenKey(entry.stackId);
  const isConfirmed = entry.confirmed && entry.confirmedKeys.includes(key);
  const [own = ''] = entry.serviceAccount.split('/');
  const namespaces = isConfirmed
    ? new Set([own, ...context.ownership.namespaces()].filter((name) => name !== ''))
    : undefined;
  try {
    return await restoreInventory(context, pass, inventory, entry.kinds.flatMap(toKind), namespaces);
  } catch (error) {
    if (entry.serviceAccount === '' || !hasStatus(error, 403)) throw error;
    const unseen = `its inventory is missing, and its objects may not be looked for everywhere: ${errorMessage(error)}`;
    const message = `${unseen}; once confirmed, what is found where account ${entry.serviceAccount} may look is deleted, and the rest stays`;
    const held: Held = { changes: [], keys: [key] };
    return entry.held ? beforeEpoch(entry, message, held) : holdBack(entry, message, held);
  }
}

async function remove(context: SyncContext, pass: Pass, inventory: Inventory): Promise<PassResult> {
  const { cluster, registry, ownership, maxDeletions } = context;
  const { entry, signal } = pass;
  const { stackId } = entry;
  const items = [...inventory.items.values()];
  const rivals = items.length > 0 ? registry.activeStacksOf(entry.generator, stackId) : [];
  if ((await registry.loadDesired(rivals)).length > 0)
    return unsettled(pass, 'removal_failed', manifestsMissing, [], true);
  const known = new Set(inventory.items.keys());
  const live = await readLive(
    cluster,
    items.map(({ id }) => id),
    { stackId, known },
    signal,
  );
  const wantedElsewhere = (key: string) => rivals.some((rival) => registry.get(rival).desired.has(key));
  const {
    prune,
    release: kept,
    drop,
    handOver,
  } = planPrune(
    { stackId, live, ownerOf: ownership.ownerOf, wantedElsewhere, elsewhere: uidsOfOtherStacks(context, stackId) },
    items,
  );

  const held = await findHeldDeletions(cluster, entry, prune, live, maxDeletions, signal);
  if (entry.held) {
    const named = new Set(held.changes.map(({ object }) => object));
    const rest = prune.flatMap(({ id }): Change[] =>
      named.has(id) ? [] : [{ object: id, action: 'held', message: 'would be deleted' }],
    );
    const all = `${prune.length} objects would be deleted`;
    return beforeEpoch(entry, summary(all, held.changes), { ...held, changes: [...held.changes, ...rest] });
  }
  if (held.changes.length > 0)
    return holdBack(entry, summary(`${prune.length} deletions wait for a confirmation`, held.changes), held);
  const fence = createFence(context.inventories, inventory, signal);
  const given = await releaseKept(cluster, kept, stackId, fence, signal);
  const {
    deleted,
    replaced,
    failed: faults,
    leaving,
    skipped,
  } = await deleteObjects(context, pass, prune, live, fence);
  const failed = [...given.failed, ...faults];
  const ended = new Set([...drop, ...given.released, ...deleted, ...replaced].map(({ id }) => keyOf(id)));
  const left = items.filter(({ id }) => !ended.has(keyOf(id)));
  await context.inventories.save(inventory, headerFor(pass, left.length === 0), left, signal);
  ownership.drop(stackId, ended);
  const done = [...given.changes, ...deleted.map(({ id }): Change => ({ object: id, action: 'deleted', message: '' }))];

  if (failed.length > 0)
    return unsettled(pass, 'removal_failed', summary('some objects were not deleted', failed), [...failed, ...done]);
  if (leaving.length > 0) return unsettled(pass, 'removal_failed', describeLeaving(leaving), done, true);
  const [next] = [...handOver, ...skipped];
  if (next) return unsettled(pass, 'removal_failed', describeSpared(next), done, true);
  if (left.length > 0) return { kind: 'repeat' };
  return { kind: 'settled', event: eventOf(entry, 'removed', describeKept(given.released), done) };
}

async function release(context: SyncContext, pass: Pass, inventory: Inventory): Promise<PassResult> {
  const { entry, signal } = pass;
  const items: readonly Item[] = [...inventory.items.values()];
  const mine = items.filter(({ id }) => (context.ownership.ownerOf(keyOf(id)) ?? entry.stackId) === entry.stackId);
  const fence = createFence(context.inventories, inventory, signal);
  const released = await mapConcurrent(mine, passConcurrency, async (item) => {
    await fence(guardMs);
    return releaseObject(context.cluster, item, entry.stackId, signal);
  });
  const busy = mine.find((_, index) => !released[index]);
  if (busy) return unsettled(pass, 'removal_failed', `${nameOf(busy.id)} is written by somebody else all the time`, []);
  await context.inventories.save(inventory, headerFor(pass, true), [], signal);
  context.ownership.drop(entry.stackId, inventory.items.keys());
  return { kind: 'settled', event: eventOf(entry, 'removed', `${mine.length} objects were left where they are`) };
}

function toKind(text: string): { apiVersion: string; kind: string }[] {
  const slash = text.lastIndexOf('/');
  return slash < 1 ? [] : [{ apiVersion: text.slice(0, slash), kind: text.slice(slash + 1) }];
}

/** For a removal that the broker holds: what a confirmation would mean. */
function beforeEpoch(entry: Entry, message: string, held: Held = { changes: [], keys: [] }): PassResult {
  return holdBack(entry, `the removal was told before a new epoch, and waits for a confirmation: ${message}`, held);
}
