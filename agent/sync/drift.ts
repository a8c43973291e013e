import type { InventoryItem } from '../inventory/shards.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { displayName, type KubeObject, keyOf } from '../object/kube-object.ts';
import { differences, managersOf, pathText } from '../object/managed-fields.ts';
import { type Change, eventOf, type StackEvent } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { Plan } from './plan.ts';
import type { RepairBackoff } from './repair-backoff.ts';

/** An object that somebody else has changed or deleted since it was applied. */
export interface DriftedObject {
  readonly wanted: DesiredObject;
  /** Paths of the fields that differ; empty for an object that was deleted. */
  readonly fields: readonly string[];
  /** A clause that says who changed it, as far as is known. */
  readonly cause: string;
}

/** An object that an apply would change. */
export interface CheckedObject {
  readonly wanted: DesiredObject;
  /** The live object that was compared; undefined when it was gone. */
  readonly live: KubeObject | undefined;
  /** The object as the apply would make it; undefined when the dry run failed. */
  readonly applied: KubeObject | undefined;
}

/**
 * Progress of this deployment in earlier passes: `applied` in full by this process; `begun` by an earlier process, as the inventory
 * says; or `new`, so that no difference is drift.
 */
export type History = 'applied' | 'begun' | 'new';

export interface DriftInput {
  readonly entry: Pick<Entry, 'drift'>;
  readonly history: History;
  readonly plan: Pick<Plan, 'create' | 'configure'>;
  readonly checked: readonly CheckedObject[];
  readonly inventory: ReadonlyMap<string, InventoryItem>;
  readonly live: LiveObjects;
  readonly repairBackoff: Pick<RepairBackoff, 'waitMs'>;
  readonly now: number;
}

export interface DriftDecision {
  /** Objects to apply now: changes of the deployment, and repairs. */
  readonly writes: readonly DesiredObject[];
  /** The objects of `writes` that are repaired. */
  readonly repairs: readonly DriftedObject[];
  /** Drifted objects that the stack's policy leaves as found. */
  readonly leftAsFound: readonly DriftedObject[];
  /** Milliseconds until the first deferred repair is due; undefined when none is deferred. */
  readonly recheckMs: number | undefined;
}

/** Separates drift from what the deployment itself changes, and decides by the stack's policy what to do about each. */
export function classifyDrift(input: DriftInput): DriftDecision {
  const { entry, history, plan, checked, inventory, live, repairBackoff, now } = input;
  const writes: DesiredObject[] = [];
  const repairs: DriftedObject[] = [];
  const leftAsFound: DriftedObject[] = [];
  const waitsMs: number[] = [];
  const classify = (
    wanted: DesiredObject,
    isDrift: boolean,
    found = live.get(keyOf(wanted.id)),
    applied?: KubeObject,
  ) => {
    if (!isDrift) return writes.push(wanted);
    const drifted = describeDrift(wanted, found, applied);
    if (entry.drift !== 'repair') return leftAsFound.push(drifted);
    const waitMs = repairBackoff.waitMs(keyOf(wanted.id), now);
    if (waitMs > 0) return waitsMs.push(waitMs);
    repairs.push(drifted);
    return writes.push(wanted);
  };
  // If an earlier process began the deployment, only objects that are known to have been applied can have drifted.
  const wasApplied = ({ id }: DesiredObject) =>
    history === 'applied' || (history === 'begun' && (inventory.get(keyOf(id))?.uid ?? '') !== '');
  for (const wanted of plan.create) classify(wanted, wasApplied(wanted));
  for (const wanted of plan.configure) classify(wanted, history === 'applied');
  for (const { wanted, live: found, applied } of checked) classify(wanted, history !== 'new', found, applied);
  return { writes, repairs, leftAsFound, recheckMs: waitsMs.length > 0 ? Math.min(...waitsMs) : undefined };
}

/** Returns the changes; those that are repairs say which fields had drifted, and who changed them. */
export function explainRepairs(changes: readonly Change[], repairs: readonly DriftedObject[]): Change[] {
  const byKey = new Map(repairs.map((drifted) => [keyOf(drifted.wanted.id), drifted]));
  return changes.map((change) => {
    const drifted = byKey.get(keyOf(change.object));
    return drifted && change.message === '' ? { ...change, fields: drifted.fields, message: drifted.cause } : change;
  });
}

/** Counts the repairs for the backoff. Returns the event about drift, and the changes that belong to the deployment itself. */
export function toDriftEvent(
  repairBackoff: Pick<RepairBackoff, 'repaired'>,
  entry: Entry,
  { repairs, leftAsFound }: DriftDecision,
  changes: readonly Change[],
): { deploymentChanges: readonly Change[]; event: StackEvent | undefined } {
  const keys = new Set(repairs.map(({ wanted }) => keyOf(wanted.id)));
  const repaired = changes.filter(({ object }) => keys.has(keyOf(object)));
  const contestedMs = new Map<string, number>();
  for (const { object } of repaired) {
    const waitMs = repairBackoff.repaired(keyOf(object), Date.now());
    if (waitMs !== undefined) contestedMs.set(keyOf(object), waitMs);
  }
  const deploymentChanges = changes.filter((change) => !repaired.includes(change));
  if (repaired.length > 0) return { deploymentChanges, event: repairedEvent(entry, repaired, contestedMs) };
  const isReported = leftAsFound.length > 0 && entry.drift === 'report';
  return { deploymentChanges, event: isReported ? driftedEvent(entry, leftAsFound) : undefined };
}

/** `contestedMs` has, for each object that somebody keeps reverting, for how long its next repair is deferred. */
function repairedEvent(entry: Entry, changes: readonly Change[], contestedMs: ReadonlyMap<string, number>): StackEvent {
  const contested = changes.find(({ object }) => contestedMs.has(keyOf(object)));
  const seconds = contested ? Math.round((contestedMs.get(keyOf(contested.object)) ?? 0) / 1000) : 0;
  const note = contested
    ? `; ${displayName(contested.object)} is changed back over and over: it is left for ${seconds} s now`
    : '';
  return eventOf(entry, 'repaired', `${sentence('applied again', changes)}${note}`, changes);
}

function driftedEvent(entry: Entry, leftAsFound: readonly DriftedObject[]): StackEvent {
  const changes = leftAsFound.map(({ wanted, fields, cause }): Change => {
    const action = cause === deletedCause ? 'created' : 'configured';
    return { object: wanted.id, action, fields, message: cause };
  });
  return eventOf(entry, 'drifted', sentence('left as found', changes), changes);
}

const deletedCause = 'somebody deleted it';

function describeDrift(
  wanted: DesiredObject,
  live: KubeObject | undefined,
  applied: KubeObject | undefined,
): DriftedObject {
  if (!live) return { wanted, fields: [], cause: deletedCause };
  const paths = applied ? differences(live, applied) : differences(live, wanted.object, { part: true });
  const managers = managersOf(live, paths);
  const cause = managers.length > 0 ? `changed by ${managers.join(', ')}` : 'somebody changed it';
  return { wanted, fields: paths.map(pathText), cause };
}

/** Quotes the first change after what was done. */
function sentence(done: string, changes: readonly Change[]): string {
  const [first] = changes;
  if (!first) return done;
  const fields = first.fields && first.fields.length > 0 ? ` (${first.fields.slice(0, 3).join(', ')})` : '';
  const more = changes.length > 1 ? `; and ${changes.length - 1} more` : '';
  return `${done}: ${displayName(first.object)}${fields}: ${first.message}${more}`;
}
