import { awaitedBy } from '../../health/terminating.ts';
import type { DesiredObject, LiveObjects } from '../../object/desired-object.ts';
import { keyOf } from '../../object/kube-object.ts';
import { type Change, eventOf } from '../../target/stack-event.ts';
import type { PassResult } from '../context.ts';
import { findHeldDeletions, type HeldDeletions } from '../deletion-protection.ts';
import {
  describeHandOver,
  describeReleased,
  describeTerminating,
  type PruneOutcome,
  pruneObjects,
  type TerminatingObject,
} from '../prune.ts';
import { headerFor } from '../rebuild-inventory.ts';
import { removedWithIn } from '../siblings.ts';
import type { PassState, StageResult } from '../stage.ts';
import type { Planned } from './plan.ts';
import { awaiting, failed, holdBack, manifestsMissing, summary } from './results.ts';
import { describeWarnings } from './warnings.ts';
import { type Applied, type Classified, type DryRun, type Recorded, withWritten } from './write.ts';

export interface DeletionsHeld {
  /** The planned deletions that wait for a confirmation; none of them when all may go on. */
  readonly held: HeldDeletions;
}

/** Finds out whether the planned deletions need a confirmation first. */
export async function holdDeletions({
  context,
  pass,
  plan,
  live,
}: PassState & Planned): Promise<StageResult<DeletionsHeld>> {
  const { cluster, maxDeletions } = context;
  pass.checkpoint();
  const { prune: toDelete } = plan;
  const removedWith = removedWithIn(context, pass.entry.stackId, toDelete);
  const deletions = { entry: pass.entry, toDelete, live, maxDeletions, removedWith };
  const held = await findHeldDeletions(cluster, deletions, pass.signal);
  return { next: { held } };
}

export interface Pruned {
  readonly pruned: PruneOutcome;
}

/** Deletes and releases what `planPrune` has decided, and saves the inventory without it. Held deletions are left out. */
export async function prune({
  context,
  pass,
  plan,
  live,
  held,
  recorded,
  items,
  written,
}: PassState & Planned & DeletionsHeld & Recorded & Applied): Promise<StageResult<Pruned>> {
  const { inventories, ownership } = context;
  const { entry, signal } = pass;
  const decided = held.changes.length > 0 || held.awaited !== undefined ? { ...plan, prune: [] } : plan;
  const pruned = await pruneObjects(context, pass, decided, live, recorded);
  const remaining = withWritten(items, written).filter(({ id }) => !pruned.endedKeys.has(keyOf(id)));
  await inventories.save(recorded, headerFor(pass, false), remaining, signal);
  ownership.forgetItems(entry.stackId, pruned.endedKeys);
  return { next: { pruned } };
}

/** Reports what became of the pass: settled, unless something is held, failed or still has to go. */
export function reportSync({
  pass,
  plan,
  live,
  missingSiblings,
  drift,
  unchecked,
  changes,
  driftEvent,
  uncheckedWrites,
  held,
  pruned,
}: PassState & Planned & Classified & DryRun & Applied & DeletionsHeld & Pruned): PassResult {
  const { entry } = pass;
  const { failures, terminating, skipped, released } = pruned;
  const done: readonly Change[] = [...changes, ...pruned.changes];
  const wait = (message: string) => awaiting(pass, message, done);
  if (held.changes.length > 0) {
    const message = summary(`${plan.prune.length} deletions wait for a confirmation`, held.changes);
    return holdBack(entry, message, { ...held, changes: [...held.changes, ...done] });
  }
  if (failures.length > 0) return failed(pass, 'some objects were not deleted', failures, done);
  if (held.awaited !== undefined) return wait(held.awaited);
  if (terminating.length > 0) return wait(describeTerminating(terminating));
  if (skipped[0]) return wait(describeHandOver(skipped[0]));
  if (plan.terminating.length > 0) return wait(describeTerminating(terminatingIn(plan.terminating, live)));
  if (missingSiblings.length > 0) return wait(manifestsMissing);
  const uncheckedCount = unchecked + uncheckedWrites;
  const uncheckedNote = uncheckedCount > 0 ? `${uncheckedCount} objects could not be checked by a dry run` : '';
  const note = [describeReleased(released), uncheckedNote, describeWarnings(done)]
    .filter((text) => text !== '')
    .join('; ');
  const event = eventOf(entry, 'applied', note, done);
  return { kind: 'settled', event, drift: driftEvent, recheckMs: drift.recheckMs };
}

/** Lists desired objects that are being deleted; they are applied again once they are gone. */
function terminatingIn(desired: readonly DesiredObject[], live: LiveObjects): TerminatingObject[] {
  return desired.map(({ id }) => {
    const object = live.get(keyOf(id));
    return { id, awaited: object ? awaitedBy(object) : '' };
  });
}
