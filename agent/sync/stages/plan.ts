import type { Claim } from '../../inventory/object-owners.ts';
import { readLive } from '../../kube/read-objects.ts';
import type { DesiredObject, LiveObjects } from '../../object/desired-object.ts';
import { keyOf } from '../../object/kube-object.ts';
import type { Change } from '../../target/stack-event.ts';
import { withoutIgnored } from '../ignored-fields.ts';
import { type Plan, planStack } from '../plan.ts';
import { loadSiblings } from '../siblings.ts';
import { uidsOfOtherStacks } from '../stack-context.ts';
import type { PassState, StageResult } from '../stage.ts';
import type { DependencyChecked, InventoryLoaded, Resolved } from './prepare.ts';
import { failed, waiting } from './results.ts';

export interface Planned {
  readonly plan: Plan;
  /** The live objects, of what is desired and what the inventory lists. */
  readonly live: LiveObjects;
  /** The desired objects without the ignored fields that somebody else has set. */
  readonly desired: readonly DesiredObject[];
  /** Stacks that may desire what this one no longer lists, but whose manifest has not arrived. */
  readonly missingSiblings: readonly string[];
}

/** Reads the live objects and decides what is created, configured, left and pruned; `planStack` and `planPrune` have the rules. */
export async function planChanges({
  context,
  pass,
  resolved,
  inventory,
}: PassState & Resolved & InventoryLoaded): Promise<StageResult<Planned>> {
  const { cluster, objectCache, ownership } = context;
  const { entry, signal } = pass;
  const { stackId } = entry;
  const desiredKeys = new Set(resolved.map(({ id }) => keyOf(id)));
  const unlisted = [...inventory.items].flatMap(([key, { id }]) => (desiredKeys.has(key) ? [] : [id]));
  const siblings = await loadSiblings(context, entry, unlisted.length > 0);
  const known = new Set(inventory.items.keys());
  const ids = [...resolved.map(({ id }) => id), ...unlisted];
  const readAt = performance.now();
  const live = await readLive(cluster, ids, { stackId, known }, signal);
  const wasApplied = pass.history !== 'new';
  const desired = resolved.map((wanted) =>
    withoutIgnored(wanted, live.get(keyOf(wanted.id)), entry.ignoredFields, wasApplied),
  );
  objectCache.read(entry, desired, live, readAt, ownership.ownerOf, (key) => inventory.items.get(key)?.run);
  const seen = objectCache.get(stackId)?.objects;
  const plan = planStack({
    stackId,
    desired,
    inventory: inventory.items,
    mayPrune: inventory.whole && siblings.missing.length === 0,
    live,
    seenRunOf: (key) => seen?.get(key)?.run,
    ownerOf: ownership.ownerOf,
    isDesiredElsewhere: siblings.isDesired,
    uidsInUse: unlisted.length > 0 ? uidsOfOtherStacks(context, stackId) : new Set(),
  });
  return { next: { plan, live, desired, missingSiblings: siblings.missing } };
}

/** Ends a pass that has something to change while a dependency is not ready; a stack that is as desired does not wait. */
export function awaitDependencies({
  pass,
  plan,
  dependency,
}: PassState & Planned & DependencyChecked): StageResult<object> {
  const hasChanges = plan.create.length + plan.configure.length + plan.prune.length > 0;
  return dependency !== undefined && hasChanges ? { stop: waiting(pass, dependency) } : { next: {} };
}

export interface Claimed {
  readonly claim: Claim;
}

/** Claims the desired objects for the stack until the pass ends; the pass ends when one belongs to somebody else. */
export async function claimObjects({
  context,
  pass,
  cleanup,
  plan,
  live,
  desired,
}: PassState & Planned): Promise<StageResult<Claimed>> {
  const { ownership, registry } = context;
  const { entry } = pass;
  const keys = desired.map(({ id }) => keyOf(id));
  await registry.loadDesired(ownership.ownersOf(keys, entry.stackId));
  const claim = ownership.claim(entry, keys, (stackId) => {
    const owner = registry.get(stackId);
    // An owner whose manifest is missing may still desire everything that it has.
    return registry.isDesiredLoaded(stackId) ? owner : { ...owner, desired: new Set(keys) };
  });
  cleanup.defer(claim.release);
  const conflicts = conflictsOf(desired, claim.conflicts);
  if (conflicts.length > 0) return { stop: failed(pass, 'nothing was applied', conflicts) };
  const foreign = entry.conflict === 'refuse' ? foreignOf(plan.foreign, live) : [];
  if (foreign.length > 0) return { stop: failed(pass, 'nothing was applied', foreign) };
  return { next: { claim } };
}

function conflictsOf(desired: readonly DesiredObject[], conflicts: ReadonlyMap<string, string>): Change[] {
  return desired.flatMap(({ id }) => {
    const owner = conflicts.get(keyOf(id));
    return owner === undefined ? [] : [{ object: id, action: 'failed' as const, message: `belongs to ${owner}` }];
  });
}

/** Failures for objects that others made, under a conflict policy that leaves such objects to them. */
function foreignOf(foreign: readonly DesiredObject[], live: LiveObjects): Change[] {
  return foreign.map(({ id }) => {
    const managers = new Set(live.get(keyOf(id))?.metadata.managedFields?.flatMap(({ manager }) => manager ?? []));
    const writers = managers.size > 0 ? `: written by ${[...managers].join(', ')}` : '';
    return { object: id, action: 'failed', message: `exists already, and is not this stack’s${writers}` };
  });
}
