import { mapConcurrent } from '../../concurrency/semaphore.ts';
import type { InventoryItem } from '../../inventory/inventory.ts';
import { passConcurrency } from '../../kube/read-objects.ts';
import type { LiveObjects } from '../../object/desired-object.ts';
import { keyOf } from '../../object/kube-object.ts';
import type { Change } from '../../target/stack-event.ts';
import type { DryRunResult } from '../apply.ts';
import { findHeldDeletions } from '../deletion-protection.ts';
import { creationObstacle, decideReplacement } from '../ownership/replace.ts';
import { removedWithIn } from '../siblings.ts';
import type { PassState, StageResult } from '../stage.ts';
import type { Planned } from './plan.ts';
import type { InventoryLoaded } from './prepare.ts';
import { awaiting, holdBack, summary } from './results.ts';

export interface Replacing {
  /** The objects that are deleted and created again, as the inventory lists them, by key. */
  readonly replacements: ReadonlyMap<string, InventoryItem>;
}

/** Decides which of the objects that a dry run refused are replaced; the failures are those of the others. */
export async function findReplacements(
  { context, pass, inventory }: PassState & InventoryLoaded,
  live: LiveObjects,
  { failures, immutable }: DryRunResult,
): Promise<Replacing & { readonly failures: readonly Change[] }> {
  const replacements = new Map<string, InventoryItem>();
  const notes = new Map<string, string>();
  await mapConcurrent(immutable, passConcurrency, async (wanted) => {
    const key = keyOf(wanted.id);
    const decision = decideReplacement(pass.entry, wanted, live.get(key), inventory.items.get(key));
    if (decision.kind === 'keep') return notes.set(key, decision.note);
    const obstacle = await creationObstacle(context.cluster, wanted, pass.signal);
    return obstacle === undefined ? replacements.set(key, decision.item) : notes.set(key, obstacle);
  });
  const remaining = failures.flatMap((change): Change[] => {
    const key = keyOf(change.object);
    if (replacements.has(key)) return [];
    const note = notes.get(key) ?? '';
    return [note === '' ? change : { ...change, message: `${change.message}; ${note}` }];
  });
  return { replacements, failures: remaining };
}

/** Ends the pass, with nothing applied, when the replacements, together with the other deletions, need a confirmation first. */
export async function holdReplacements({
  context,
  pass,
  plan,
  live,
  replacements,
}: PassState & Planned & Replacing): Promise<StageResult<object>> {
  if (replacements.size === 0) return { next: {} };
  const toDelete = [...replacements.values(), ...plan.prune];
  const { cluster, maxDeletions } = context;
  const { entry, signal } = pass;
  const removedWith = removedWithIn(context, entry.stackId, toDelete);
  const held = await findHeldDeletions(cluster, { entry, toDelete, live, maxDeletions, removedWith }, signal);
  if (held.changes.length === 0)
    return held.awaited === undefined ? { next: {} } : { stop: awaiting(pass, held.awaited) };
  const message = `nothing was applied: ${replacements.size} objects have to be deleted and created again`;
  return { stop: holdBack(pass.entry, summary(message, held.changes), held) };
}
