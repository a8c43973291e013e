import { whyNotAllowed } from '../client/allowed.ts';
import { applyObjects, dependsOn, dryRun, findDrifted, isPrerequisite, waitUntilReady } from './apply.ts';
import { deleteObjects, describeLeaving } from './deletion.ts';
import { type Change, eventOf, type Outcome } from './event.ts';
import { findHeld } from './hold.ts';
import type { Inventory, Item } from './inventory.ts';
import { readLive } from './live.ts';
import { definitionsIn, type ManifestObject, parseManifest, placeObject, stampObject } from './manifest.ts';
import { groupOf, idOf, type KubeObject, keyOf, type ObjectId } from './object.ts';
import { headerFor, type Pass, type PassResult, summary, type Workshop } from './pass.ts';
import { type Desired, type Plan, planStack } from './plan.ts';
import { restoreInventory } from './restore.ts';

/**
 * One pass over a stack that is to be there: reads what is, plans, tries, applies, prunes, and says what came of it. Starts from
 * scratch each time. Throws what keeps it from working at all: an unreachable cluster, an InventoryConflict, Superseded.
 */
export async function serveStack(shop: Workshop, pass: Pass): Promise<PassResult> {
  const { entry, signal, checkpoint } = pass;
  const bytes = await shop.readManifest(entry.checksum);
  if (!bytes) return unsettled(pass, 'failed', 'its manifest has not been received yet', [], true);
  const objects = parseManifest(bytes, entry.checksum);
  const loaded = await shop.inventories.load(entry.stackId, signal);
  const kinds = objects.map(({ object }) => object);
  const namespaces = new Set(kinds.map(({ metadata }) => metadata.namespace || shop.scope.defaultNamespace));
  const inventory = loaded.whole ? loaded : await restoreInventory(shop, pass, loaded, kinds, namespaces);
  // What is not whole lists only a part of what there is: nothing is pruned in the pass that found it so.
  if (!loaded.whole && inventory.shards.length > 0) return { kind: 'again' };
  const placed = await placeAll(shop, objects, pass);
  if (placed.failed.length > 0) return failed(pass, 'nothing was applied', placed.failed);
  checkpoint();
  const plan = await makePlan(shop, pass, placed.desired, inventory);
  return carryOut(shop, pass, plan, { objects, inventory, unknown: placed.unknown });
}

interface Planned {
  readonly plan: Plan;
  readonly live: ReadonlyMap<string, KubeObject>;
  readonly desired: readonly Desired[];
  /** Stacks that might desire what this one has dropped, and cannot be asked yet. */
  readonly unknownNeighbours: readonly string[];
}

async function makePlan(
  shop: Workshop,
  pass: Pass,
  desired: readonly Desired[],
  inventory: Inventory,
): Promise<Planned> {
  const { entry, signal } = pass;
  const listed = new Set(desired.map(({ id }) => keyOf(id)));
  const gone = [...inventory.items].filter(([key]) => !listed.has(key));
  const rivals = gone.length > 0 ? shop.neighbours.activeOf(entry.generator, entry.stackId) : [];
  const unknownNeighbours = await shop.neighbours.learn(rivals);
  const known = new Set(inventory.items.keys());
  const ids = [...desired.map(({ id }) => id), ...gone.map(([, { id }]) => id)];
  const live = await readLive(shop.cluster, ids, { stackId: entry.stackId, known }, signal);
  const plan = planStack({
    stackId: entry.stackId,
    desired,
    inventory: inventory.items,
    mayPrune: inventory.whole && unknownNeighbours.length === 0,
    live,
    ownerOf: shop.ownership.ownerOf,
    wantedElsewhere: (key) => rivals.some((stackId) => shop.neighbours.get(stackId).desired.has(key)),
  });
  return { plan, live, desired, unknownNeighbours };
}

async function carryOut(
  shop: Workshop,
  pass: Pass,
  { plan, live, desired, unknownNeighbours }: Planned,
  {
    objects,
    inventory,
    unknown,
  }: { objects: readonly ManifestObject[]; inventory: Inventory; unknown: readonly Change[] },
): Promise<PassResult> {
  const { cluster, inventories, ownership, neighbours } = shop;
  const { entry, signal, checkpoint } = pass;
  const keys = desired.map(({ id }) => keyOf(id));
  const owners = ownership.ownersOf(keys, entry.stackId);
  const unasked = new Set(await neighbours.learn(owners));
  const claim = ownership.claim(entry, keys, (stackId) => {
    const other = neighbours.get(stackId);
    // A neighbour that cannot be asked may still desire everything that it has.
    return unasked.has(stackId) ? { ...other, desired: new Set(keys) } : other;
  });
  try {
    if (claim.conflicts.size > 0) return failed(pass, 'nothing was applied', conflictsOf(desired, claim.conflicts));
    const drifted = await findDrifted(cluster, plan.check, live, signal);
    const writes = [...plan.create, ...plan.configure, ...drifted];
    const needs = dependsOn(writes.filter(isPrerequisite), definitionsIn(objects));
    const unservable = unknown.filter(({ object }) => !writes.some((write) => write.id === object && needs(write)));
    const independent = writes.filter((write) => !needs(write));
    const dependent = writes.filter(needs);
    const tried = await dryRun(
      cluster,
      independent.filter(({ id }) => !unservable.some(({ object }) => object === id)),
      signal,
    );
    const refused = [...unservable, ...tried.failed];
    if (refused.length > 0) return failed(pass, 'nothing was applied', refused);
    checkpoint();

    const current = await inventories.save(inventory, headerFor(pass, false), plan.items, signal);
    neighbours.taken(claim.keep());
    const staged = dependent.length > 0 ? independent.filter(isPrerequisite) : [];
    const prepared = await applyObjects(cluster, staged, signal, checkpoint);
    const late = prepared.failed.length > 0 ? prepared.failed : await waitUntilReady(cluster, staged, signal);
    const triedLater =
      late.length > 0 ? { failed: late, unchecked: 0 } : await dryRun(cluster, dependent, signal, { patient: true });
    const rest = writes.filter((write) => !staged.includes(write));
    const applied = triedLater.failed.length > 0 ? undefined : await applyObjects(cluster, rest, signal, checkpoint);
    const changes = [...prepared.changes, ...(applied?.changes ?? [])];
    const uids = new Map([...prepared.uids, ...(applied?.uids ?? [])]);
    const faults = [...triedLater.failed, ...(applied?.failed ?? [])];
    if (faults.length > 0) {
      await inventories.save(current, headerFor(pass, false), withUids(plan.items, uids), signal);
      const done = applied ? 'some objects were not applied' : 'only definitions and namespaces were applied';
      return failed(pass, done, faults, changes);
    }
    const unchecked = tried.unchecked + triedLater.unchecked;
    return await prune(shop, pass, { plan, live, current, uids, changes, unchecked, unknownNeighbours });
  } finally {
    claim.release();
  }
}

interface ToPrune {
  readonly plan: Plan;
  readonly live: ReadonlyMap<string, KubeObject>;
  readonly current: Inventory;
  readonly uids: ReadonlyMap<string, string>;
  readonly changes: readonly Change[];
  readonly unchecked: number;
  readonly unknownNeighbours: readonly string[];
}

async function prune(shop: Workshop, pass: Pass, work: ToPrune): Promise<PassResult> {
  const { cluster, inventories, ownership, maxDeletions } = shop;
  const { entry, signal, checkpoint } = pass;
  const { plan, current, changes } = work;
  checkpoint();
  const held = entry.confirmed ? [] : await findHeld(cluster, plan.prune, work.live, maxDeletions, signal);
  const doomed = held.length > 0 ? [] : plan.prune;
  const { deleted, replaced, failed: faults, leaving } = await deleteObjects(cluster, doomed, signal, checkpoint);
  const ended = new Set([...plan.drop, ...deleted, ...replaced].map(({ id }) => keyOf(id)));
  const items = withUids(plan.items, work.uids).filter(({ id }) => !ended.has(keyOf(id)));
  await inventories.save(current, headerFor(pass, false), items, signal);
  ownership.drop(entry.stackId, ended);
  const done = [...changes, ...deleted.map(({ id }): Change => ({ object: id, action: 'deleted', message: '' }))];

  if (held.length > 0)
    return unsettled(pass, 'held', summary(`${plan.prune.length} deletions wait for a confirmation`, held), [
      ...held,
      ...done,
    ]);
  if (faults.length > 0) return failed(pass, 'some objects were not deleted', faults, done);
  if (leaving.length > 0) return unsettled(pass, 'failed', describeLeaving(leaving), done, true);
  if (plan.leaving.length > 0) return unsettled(pass, 'failed', describeLeaving(plan.leaving.map(toItem)), done, true);
  if (work.unknownNeighbours.length > 0)
    return unsettled(pass, 'failed', 'other manifests have to be received before anything is deleted', done, true);
  const note =
    work.unchecked > 0 ? `${work.unchecked} objects were not checked before: a webhook supports no dry run` : '';
  return { kind: 'settled', event: eventOf(entry, 'applied', note, done) };
}

/** Puts each object where it belongs and marks it. A kind that nobody serves may still be defined by the manifest itself. */
async function placeAll(
  { cluster, scope, inventories }: Workshop,
  objects: readonly ManifestObject[],
  { entry, signal }: Pass,
): Promise<{ desired: Desired[]; failed: Change[]; unknown: Change[] }> {
  const definitions = definitionsIn(objects);
  const desired: Desired[] = [];
  const faults: Change[] = [];
  const unknown: Change[] = [];
  const seen = new Set<string>();
  for (const { object, checksum } of objects) {
    const { apiVersion, kind } = object;
    const resource = await cluster.discovery.find(apiVersion, kind, signal);
    const own = definitions.find((definition) => definition.group === groupOf(apiVersion) && definition.kind === kind);
    const fault = (message: string): Change => ({ object: idOf(object), action: 'failed', message });
    if (!resource && !own) {
      faults.push(fault(`the cluster serves no ${kind} of ${apiVersion}`));
      continue;
    }
    const namespaced = resource?.namespaced ?? own?.namespaced ?? false;
    const placed = placeObject(object, namespaced, scope);
    if ('refusal' in placed) {
      faults.push(fault(placed.refusal));
      continue;
    }
    const id = idOf(placed.object);
    // Once without a namespace, once with the default one.
    if (seen.has(keyOf(id))) faults.push(fault('is listed twice'));
    seen.add(keyOf(id));
    const violation = inventories.isInventory(placed.object)
      ? 'it is one of the agent’s inventories'
      : entry.limits && whyNotAllowed(entry.limits, id, namespaced);
    if (violation !== undefined) {
      const message = `generator ${entry.generator} may not deploy it: ${violation}`;
      faults.push({ object: id, action: 'failed', message });
      continue;
    }
    if (!resource)
      unknown.push({ object: id, action: 'failed', message: `the cluster serves no ${kind} of ${apiVersion}` });
    desired.push({ id, object: stampObject(placed.object, entry.stackId, checksum), checksum });
  }
  return { desired, failed: faults, unknown };
}

function conflictsOf(desired: readonly Desired[], conflicts: ReadonlyMap<string, string>): Change[] {
  return desired.flatMap(({ id }) => {
    const other = conflicts.get(keyOf(id));
    return other === undefined ? [] : [{ object: id, action: 'failed' as const, message: `belongs to stack ${other}` }];
  });
}

function withUids(items: readonly Item[], uids: ReadonlyMap<string, string>): Item[] {
  return items.map((item) => ({ id: item.id, uid: uids.get(keyOf(item.id)) ?? item.uid }));
}

function toItem({ id }: { id: ObjectId }): Item {
  return { id, uid: '' };
}

function failed(pass: Pass, what: string, faults: readonly Change[], done: readonly Change[] = []): PassResult {
  return unsettled(pass, 'failed', summary(what, faults), [...faults, ...done]);
}

function unsettled(
  pass: Pass,
  outcome: Outcome,
  message: string,
  changes: readonly Change[],
  waiting = false,
): PassResult {
  return { kind: 'unsettled', event: eventOf(pass.entry, outcome, message, changes), waiting };
}
