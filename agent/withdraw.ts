import {
  deleteObjects,
  describeKept,
  describeLeaving,
  describeSpared,
  releaseKept,
  releaseObject,
} from './deletion.ts';
import { type Change, eventOf } from './event.ts';
import { findHeld } from './hold.ts';
import type { Inventory, Item } from './inventory.ts';
import { mapLimited } from './limit.ts';
import { passConcurrency, readLive } from './live.ts';
import { keyOf, nameOf } from './object.ts';
import {
  headerFor,
  manifestsMissing,
  type Pass,
  type PassResult,
  summary,
  uidsElsewhere,
  unsettled,
  type Workshop,
} from './pass.ts';
import { planPrune } from './plan.ts';
import { restoreInventory } from './restore.ts';

/**
 * One pass over a stack that is to go: deletes what its inventory lists, or with `orphan` takes its marks off, and acknowledges when
 * nothing is left. The inventory's header stays, as a note against answers from before, until the broker no longer speaks of the stack.
 */
export async function withdrawStack(shop: Workshop, pass: Pass): Promise<PassResult> {
  const { entry, signal } = pass;
  const inventory = await shop.inventories.load(entry.stackId, signal);
  if (inventory.whole) {
    if (entry.held && entry.onDelete === 'orphan')
      return heldBack(pass, `${inventory.items.size} objects would be left where they are`, []);
    return entry.onDelete === 'orphan' ? release(shop, pass, inventory) : remove(shop, pass, inventory);
  }
  const restored = await restoreInventory(shop, pass, inventory, entry.kinds.flatMap(toKind));
  if (restored.shards.length > 0) return { kind: 'again' };
  const nothing = 'there was nothing to remove';
  return entry.held ? heldBack(pass, nothing, []) : { kind: 'settled', event: eventOf(entry, 'removed', nothing) };
}

async function remove(shop: Workshop, pass: Pass, inventory: Inventory): Promise<PassResult> {
  const { cluster, neighbours, ownership, maxDeletions } = shop;
  const { entry, signal } = pass;
  const { stackId } = entry;
  const items = [...inventory.items.values()];
  const rivals = items.length > 0 ? neighbours.activeOf(entry.generator, stackId) : [];
  if ((await neighbours.learn(rivals)).length > 0) return unsettled(pass, 'removal_failed', manifestsMissing, [], true);
  const known = new Set(inventory.items.keys());
  const live = await readLive(
    cluster,
    items.map(({ id }) => id),
    { stackId, known },
    signal,
  );
  const wantedElsewhere = (key: string) => rivals.some((rival) => neighbours.get(rival).desired.has(key));
  const {
    prune,
    release: kept,
    drop,
    handOver,
  } = planPrune(
    { stackId, live, ownerOf: ownership.ownerOf, wantedElsewhere, elsewhere: uidsElsewhere(shop, stackId) },
    items,
  );

  const held = entry.confirmed ? [] : await findHeld(cluster, prune, live, maxDeletions, signal);
  if (entry.held) {
    const named = new Set(held.map(({ object }) => object));
    const rest = prune.flatMap(({ id }): Change[] =>
      named.has(id) ? [] : [{ object: id, action: 'held', message: 'would be deleted' }],
    );
    const all = `${prune.length} objects would be deleted`;
    return heldBack(pass, held.length > 0 ? summary(all, held) : all, [...held, ...rest]);
  }
  if (held.length > 0)
    return unsettled(pass, 'held', summary(`${prune.length} deletions wait for a confirmation`, held), held);
  const given = await releaseKept(cluster, kept, stackId, signal);
  const { deleted, replaced, failed: faults, leaving, spared } = await deleteObjects(shop, pass, prune, live);
  const failed = [...given.failed, ...faults];
  const ended = new Set([...drop, ...given.released, ...deleted, ...replaced].map(({ id }) => keyOf(id)));
  const left = items.filter(({ id }) => !ended.has(keyOf(id)));
  await shop.inventories.save(inventory, headerFor(pass, left.length === 0), left, signal);
  ownership.drop(stackId, ended);
  const done = [...given.changes, ...deleted.map(({ id }): Change => ({ object: id, action: 'deleted', message: '' }))];

  if (failed.length > 0)
    return unsettled(pass, 'removal_failed', summary('some objects were not deleted', failed), [...failed, ...done]);
  if (leaving.length > 0) return unsettled(pass, 'removal_failed', describeLeaving(leaving), done, true);
  const [next] = [...handOver, ...spared];
  if (next) return unsettled(pass, 'removal_failed', describeSpared(next), done, true);
  if (left.length > 0) return { kind: 'again' };
  return { kind: 'settled', event: eventOf(entry, 'removed', describeKept(given.released), done) };
}

async function release(shop: Workshop, pass: Pass, inventory: Inventory): Promise<PassResult> {
  const { entry, signal } = pass;
  const items: readonly Item[] = [...inventory.items.values()];
  const mine = items.filter(({ id }) => (shop.ownership.ownerOf(keyOf(id)) ?? entry.stackId) === entry.stackId);
  const released = await mapLimited(mine, passConcurrency, (item) =>
    releaseObject(shop.cluster, item, entry.stackId, signal),
  );
  const busy = mine.find((_, index) => !released[index]);
  if (busy) return unsettled(pass, 'removal_failed', `${nameOf(busy.id)} is written by somebody else all the time`, []);
  await shop.inventories.save(inventory, headerFor(pass, true), [], signal);
  shop.ownership.drop(entry.stackId, inventory.items.keys());
  return { kind: 'settled', event: eventOf(entry, 'removed', `${mine.length} objects were left where they are`) };
}

function toKind(text: string): { apiVersion: string; kind: string }[] {
  const slash = text.lastIndexOf('/');
  return slash < 1 ? [] : [{ apiVersion: text.slice(0, slash), kind: text.slice(slash + 1) }];
}

/** For a removal that the broker holds: what a confirmation would mean. */
function heldBack(pass: Pass, message: string, changes: readonly Change[]): PassResult {
  return unsettled(
    pass,
    'held',
    `the removal was told before a new epoch, and waits for a confirmation: ${message}`,
    changes,
  );
}
