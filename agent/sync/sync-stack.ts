import type { Inventory, Item } from '../inventory/inventory.ts';
import { readLive } from '../kube/read-objects.ts';
import { definitionsIn, type ManifestObject, parseManifest } from '../manifest/parse.ts';
import { faultsInOrder, wavesOf } from '../manifest/waves.ts';
import { type KubeObject, keyOf, type ObjectId } from '../object/kube-object.ts';
import { type Change, eventOf } from '../target/stack-event.ts';
import { dependsOn, dryRun, findDrifted, isPrerequisite } from './apply.ts';
import { type Pass, type PassResult, Superseded, type SyncContext } from './context.ts';
import { findHeldDeletions } from './deletion-protection.ts';
import { dependencyBlocker } from './dependencies.ts';
import { classifyDrift, explained, toDriftEvent } from './drift.ts';
import { createFence } from './fencing.ts';
import { withoutIgnored } from './ignored-fields.ts';
import { type Desired, type Plan, planStack } from './plan.ts';
import { deleteObjects, describeKept, describeLeaving, describeSpared, releaseKept } from './prune.ts';
import { headerFor, newerThan, restoreInventory } from './rebuild-inventory.ts';
import { resolveObjects } from './resolve-objects.ts';
import { failed, holdBack, manifestsMissing, summary, unsettled, waiting } from './results.ts';
import { rollOut, rolloutBlocker } from './rollout.ts';
import { uidsOfOtherStacks } from './stack-context.ts';

/**
 * One pass over a stack that is to be there: reads what is, plans, tries, applies, prunes, and says what came of it. Starts from
 * scratch each time. Throws what keeps it from working at all: an unreachable cluster, an InventoryConflict, Superseded.
 */
export async function syncStack(context: SyncContext, pass: Pass): Promise<PassResult> {
  const { entry, signal, checkpoint } = pass;
  const bytes = await context.readManifest(entry.checksum);
  if (!bytes) return unsettled(pass, 'failed', 'its manifest has not been received yet', [], true);
  const objects = parseManifest(bytes, entry.checksum);
  const loaded = await context.inventories.load(entry.stackId, signal);
  const by = newerThan(pass, loaded);
  if (by) return { kind: 'overtaken', by };
  const kinds = objects.map(({ object }) => object);
  const namespaces = new Set(kinds.map(({ metadata }) => metadata.namespace || context.scope.defaultNamespace));
  const inventory = loaded.whole ? loaded : await restoreInventory(context, pass, loaded, kinds, namespaces);
  // What is not whole lists only a part of what there is: nothing is pruned in the pass that found it so.
  if (!loaded.whole && inventory.shards.length > 0) return { kind: 'repeat' };
  const blocker = await dependencyBlocker(context, pass);
  const placed = await resolveObjects(context, objects, pass);
  const faults = placed.failed.length > 0 ? placed.failed : faultsInOrder(placed.desired);
  if (faults.length > 0) {
    // A kind that is not served may be what the other stack brings.
    return blocker === undefined ? failed(pass, 'nothing was applied', faults) : waiting(pass, blocker);
  }
  checkpoint();
  const planned = await makePlan(context, pass, placed.desired, inventory);
  const { create, configure, prune: toDelete } = planned.plan;
  // What is as it should be does not become pending because of what it depends on.
  if (blocker !== undefined && create.length + configure.length + toDelete.length > 0) return waiting(pass, blocker);
  return carryOut(context, pass, planned, { objects, inventory, unknown: placed.unknown });
}

interface Planned {
  readonly plan: Plan;
  readonly live: ReadonlyMap<string, KubeObject>;
  readonly desired: readonly Desired[];
  /** Stacks that might desire what this one has dropped, and cannot be asked yet. */
  readonly unknownNeighbours: readonly string[];
}

async function makePlan(
  context: SyncContext,
  pass: Pass,
  placed: readonly Desired[],
  inventory: Inventory,
): Promise<Planned> {
  const { entry, signal } = pass;
  const listed = new Set(placed.map(({ id }) => keyOf(id)));
  const gone = [...inventory.items].filter(([key]) => !listed.has(key));
  const rivals = gone.length > 0 ? context.registry.activeStacksOf(entry.generator, entry.stackId) : [];
  const unknownNeighbours = await context.registry.loadDesired(rivals);
  const known = new Set(inventory.items.keys());
  const ids = [...placed.map(({ id }) => id), ...gone.map(([, { id }]) => id)];
  const readAt = performance.now();
  const live = await readLive(context.cluster, ids, { stackId: entry.stackId, known }, signal);
  const isNew = pass.history === 'new';
  const desired = placed.map((wanted) =>
    withoutIgnored(wanted, live.get(keyOf(wanted.id)), entry.ignoredFields, !isNew),
  );
  context.objectCache.read(entry, desired, live, readAt, context.ownership.ownerOf);
  const plan = planStack({
    stackId: entry.stackId,
    desired,
    inventory: inventory.items,
    mayPrune: inventory.whole && unknownNeighbours.length === 0,
    live,
    ownerOf: context.ownership.ownerOf,
    wantedElsewhere: (key) => rivals.some((stackId) => context.registry.get(stackId).desired.has(key)),
    elsewhere: gone.length > 0 ? uidsOfOtherStacks(context, entry.stackId) : new Set(),
  });
  return { plan, live, desired, unknownNeighbours };
}

async function carryOut(
  context: SyncContext,
  pass: Pass,
  { plan, live, desired, unknownNeighbours }: Planned,
  {
    objects,
    inventory,
    unknown,
  }: { objects: readonly ManifestObject[]; inventory: Inventory; unknown: readonly Change[] },
): Promise<PassResult> {
  const { cluster, inventories, ownership, registry, repairBackoff } = context;
  const { entry, history, signal, checkpoint } = pass;
  const keys = desired.map(({ id }) => keyOf(id));
  const owners = ownership.ownersOf(keys, entry.stackId);
  await registry.loadDesired(owners);
  const claim = ownership.claim(entry, keys, (stackId) => {
    const other = registry.get(stackId);
    // A neighbour that cannot be asked may still desire everything that it has.
    return registry.isDesiredLoaded(stackId) ? other : { ...other, desired: new Set(keys) };
  });
  try {
    if (claim.conflicts.size > 0) return failed(pass, 'nothing was applied', conflictsOf(desired, claim.conflicts));
    const foreign = entry.conflict === 'refuse' ? foreignOf(plan.foreign, live) : [];
    if (foreign.length > 0) return failed(pass, 'nothing was applied', foreign);
    const checked = await findDrifted(cluster, plan.check, live, signal);
    const { items: known } = inventory;
    const drift = classifyDrift({
      entry,
      history,
      plan,
      checked,
      inventory: known,
      live,
      repairBackoff,
      now: Date.now(),
    });
    const { writes } = drift;
    const definitions = definitionsIn(objects);
    const gated = !pass.isAlreadyApplied && writes.length > drift.repairs.length;
    const rollout = { waves: wavesOf(desired, (wanted) => wanted), writes, definitions, live, gated };
    const blocked = rolloutBlocker(rollout);
    if (blocked?.waiting !== undefined) return waiting(pass, blocked.waiting);
    if (blocked) return failed(pass, blocked.summary, blocked.failed);
    const needs = dependsOn(writes.filter(isPrerequisite), definitions);
    const unservable = unknown.filter(({ object }) => !writes.some((write) => write.id === object && needs(write)));
    const tried = await dryRun(
      cluster,
      writes.filter((write) => !needs(write) && !unservable.some(({ object }) => object === write.id)),
      signal,
    );
    const refused = [...unservable, ...tried.failed];
    if (refused.length > 0) return failed(pass, 'nothing was applied', refused);
    checkpoint();

    const items = keepingUids(plan.items, known, writes);
    const current = await inventories.save(inventory, headerFor(pass, false), items, signal);
    registry.objectsTakenOver(claim.keep());
    const uids = new Map<string, string>();
    const rolledOut = await rollOut(context, pass, rollout, uids).catch(async (error: unknown) => {
      // What was written is there to stay. When this cannot be saved, the objects' marks tell as much.
      if (error instanceof Superseded)
        await inventories.save(current, headerFor(pass, false), withUids(items, uids), signal).catch(() => {});
      throw error;
    });
    const changes = explained(rolledOut.changes, drift.repairs);
    if (rolledOut.failed.length > 0 || rolledOut.waiting !== undefined) {
      await inventories.save(current, headerFor(pass, false), withUids(items, uids), signal);
      if (rolledOut.waiting !== undefined) return waiting(pass, rolledOut.waiting, changes);
      return failed(pass, rolledOut.summary, rolledOut.failed, changes);
    }
    const unchecked = tried.unchecked + rolledOut.unchecked;
    const { told, event } = toDriftEvent(repairBackoff, entry, drift, changes);
    const rest = { plan, items, live, current, uids, changes: told, unchecked, unknownNeighbours };
    const result = await prune(context, pass, rest);
    return result.kind === 'settled' ? { ...result, drift: event, recheckMs: drift.recheckMs } : result;
  } finally {
    claim.release();
  }
}

interface ToPrune {
  readonly plan: Plan;
  readonly items: readonly Item[];
  readonly live: ReadonlyMap<string, KubeObject>;
  readonly current: Inventory;
  readonly uids: ReadonlyMap<string, string>;
  readonly changes: readonly Change[];
  readonly unchecked: number;
  readonly unknownNeighbours: readonly string[];
}

async function prune(context: SyncContext, pass: Pass, work: ToPrune): Promise<PassResult> {
  const { cluster, inventories, ownership, maxDeletions } = context;
  const { entry, signal, checkpoint } = pass;
  const { plan, current, changes } = work;
  checkpoint();
  const held = await findHeldDeletions(cluster, entry, plan.prune, work.live, maxDeletions, signal);
  const toDelete = held.changes.length > 0 ? [] : plan.prune;
  const fence = createFence(inventories, current, signal);
  const given = await releaseKept(cluster, plan.release, entry.stackId, fence, signal);
  const { deleted, replaced, leaving, skipped, ...rest } = await deleteObjects(
    context,
    pass,
    toDelete,
    work.live,
    fence,
  );
  const faults = [...given.failed, ...rest.failed];
  const ended = new Set([...plan.drop, ...given.released, ...deleted, ...replaced].map(({ id }) => keyOf(id)));
  const items = withUids(work.items, work.uids).filter(({ id }) => !ended.has(keyOf(id)));
  await inventories.save(current, headerFor(pass, false), items, signal);
  ownership.drop(entry.stackId, ended);
  const gone = deleted.map(({ id }): Change => ({ object: id, action: 'deleted', message: '' }));
  const done = [...changes, ...given.changes, ...gone];

  if (held.changes.length > 0) {
    const message = summary(`${plan.prune.length} deletions wait for a confirmation`, held.changes);
    return holdBack(entry, message, { ...held, changes: [...held.changes, ...done] });
  }
  if (faults.length > 0) return failed(pass, 'some objects were not deleted', faults, done);
  if (leaving.length > 0) return unsettled(pass, 'failed', describeLeaving(leaving), done, true);
  if (skipped[0]) return unsettled(pass, 'failed', describeSpared(skipped[0]), done, true);
  if (plan.terminating.length > 0)
    return unsettled(pass, 'failed', describeLeaving(plan.terminating.map(toItem)), done, true);
  if (work.unknownNeighbours.length > 0) return unsettled(pass, 'failed', manifestsMissing, done, true);
  const unchecked = work.unchecked > 0 ? `${work.unchecked} objects could not be checked by a dry run` : '';
  const note = [describeKept(given.released), unchecked].filter((text) => text !== '').join('; ');
  return { kind: 'settled', event: eventOf(entry, 'applied', note, done) };
}

function conflictsOf(desired: readonly Desired[], conflicts: ReadonlyMap<string, string>): Change[] {
  return desired.flatMap(({ id }) => {
    const other = conflicts.get(keyOf(id));
    return other === undefined ? [] : [{ object: id, action: 'failed' as const, message: `belongs to stack ${other}` }];
  });
}

/** What exists and was made by others, under a policy that leaves it to them. */
function foreignOf(foreign: readonly Desired[], live: ReadonlyMap<string, KubeObject>): Change[] {
  return foreign.map(({ id }) => {
    const managers = new Set(live.get(keyOf(id))?.metadata.managedFields?.flatMap(({ manager }) => manager ?? []));
    const whose = managers.size > 0 ? `: written by ${[...managers].join(', ')}` : '';
    return { object: id, action: 'failed', message: `exists already, and is not this stack’s${whose}` };
  });
}

/** An object that is gone, and left so, stays known as one that was there: else it would be taken for a new one after a restart. */
function keepingUids(items: readonly Item[], known: ReadonlyMap<string, Item>, writes: readonly Desired[]): Item[] {
  const written = new Set(writes.map(({ id }) => keyOf(id)));
  return items.map((item) =>
    item.uid === '' && !written.has(keyOf(item.id)) ? (known.get(keyOf(item.id)) ?? item) : item,
  );
}

function withUids(items: readonly Item[], uids: ReadonlyMap<string, string>): Item[] {
  return items.map((item) => ({ id: item.id, uid: uids.get(keyOf(item.id)) ?? item.uid }));
}

function toItem({ id }: { id: ObjectId }): Item {
  return { id, uid: '' };
}
