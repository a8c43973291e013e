import { lockGenerators, lockStacks } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { checkEtag } from '../resource.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import { requireNoDependants, setDependencies } from './dependencies.ts';
import { fullName, requireNotDeleted, type Selector, type Settings, type StackRow } from './rules.ts';
import * as store from './store.ts';

export interface StackChange {
  readonly addLabels: readonly string[];
  readonly removeLabels: readonly string[];
  readonly setAnnotations: Readonly<Record<string, string>>;
  readonly removeAnnotations: readonly string[];
  readonly settings: Partial<Settings>;
  /** Replaces the selector; null removes it. */
  readonly selector?: Selector | null;
  readonly dependsOn?: readonly string[];
}

/**
 * Takes the stack side's locks, then reads the stack. FAILED_PRECONDITION when it is being deleted, ABORTED when it no longer has the
 * etag.
 */
export async function lockStack(tx: Tx, owner: string | null, ref: string, etag: string): Promise<StackRow> {
  const found = await store.findStack(tx, owner, ref);
  await lockGenerators(tx, [found.generatorId], 'exclusive');
  await lockStacks(tx, [found.id]);
  const row = await store.findStack(tx, owner, found.id);
  requireNotDeleted(row, ref);
  checkEtag(etag, row.version);
  return row;
}

/** Changes what is given of a stack, and places it again. Its locks must be held. Returns the new row. */
export async function updateStack(tx: Tx, stack: StackRow, change: StackChange): Promise<StackRow> {
  const { id, generatorId, generator } = stack;
  await store.removeLabels(tx, id, change.removeLabels);
  await store.addLabels(tx, id, change.addLabels);
  await store.removeAnnotations(tx, id, change.removeAnnotations);
  await store.setAnnotations(tx, id, change.setAnnotations);
  if (change.selector !== undefined) await store.writeSelector(tx, id, change.selector ?? undefined);
  await store.writeSettings(tx, id, change.settings);
  if (change.dependsOn) await setDependencies(tx, { id, generatorId, generator }, change.dependsOn);
  await store.touchStack(tx, id);
  await updatePlacements(tx, { agents: null, stacks: [id] }, 'the stack no longer matches the agent');
  await announce(tx, 'stack', [id]);
  return store.requireStack(tx, id);
}

/** Deletes a stack: its placements become removals. Its locks must be held. Returns the last row. */
export async function deleteStack(tx: Tx, stack: StackRow): Promise<StackRow> {
  const { id } = stack;
  await requireNoDependants(tx, id, fullName(stack));
  await store.markStackDeleted(tx, id);
  await store.touchStack(tx, id);
  await updatePlacements(tx, { agents: null, stacks: [id] }, 'the stack was deleted');
  await announce(tx, 'stack', [id]);
  return (await store.stackById(tx, id)) ?? { ...stack, deletedAt: new Date() };
}
