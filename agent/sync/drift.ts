import type { Item } from '../inventory/shards.ts';
import { type KubeObject, keyOf, nameOf } from '../object/kube-object.ts';
import { differences, managersOf, pathText } from '../object/managed-fields.ts';
import { type Change, eventOf, type StackEvent } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { Desired, Live, Plan } from './plan.ts';
import type { RepairBackoff } from './repair-backoff.ts';

/** An object that somebody else has changed or deleted since it was applied. */
export interface Drifted {
  readonly wanted: Desired;
  /** Paths of the fields that differ; none for an object that was deleted. */
  readonly fields: readonly string[];
  /** Who did it, in words. */
  readonly cause: string;
}

/** An object that an apply would change, with what that would make of it, where that is known. */
export interface Checked {
  readonly wanted: Desired;
  readonly applied: KubeObject | undefined;
}

/**
 * How far this deployment has come before this pass: applied in full by this process; begun, as the inventory says, by one before; or
 * new, so that nothing of what differs is drift.
 */
export type History = 'applied' | 'begun' | 'new';

export interface DriftInput {
  readonly entry: Pick<Entry, 'drift'>;
  readonly history: History;
  readonly plan: Pick<Plan, 'create' | 'configure'>;
  readonly checked: readonly Checked[];
  readonly inventory: ReadonlyMap<string, Item>;
  readonly live: Live;
  readonly repairBackoff: Pick<RepairBackoff, 'waitMs'>;
  readonly now: number;
}

export interface DriftDecision {
  /** To be applied now: what the deployment is about, and what is put right. */
  readonly writes: readonly Desired[];
  /** Of these, what is put right. */
  readonly repairs: readonly Drifted[];
  /** Left as it is, by the stack's policy. */
  readonly left: readonly Drifted[];
  /** Until when something is left as it is, because of a fight; undefined for nothing. */
  readonly recheckMs: number | undefined;
}

/** Tells drift from what the deployment itself changes, and says what to do about it. */
export function classifyDrift(input: DriftInput): DriftDecision {
  const { entry, history, plan, checked, inventory, live, repairBackoff, now } = input;
  const writes: Desired[] = [];
  const repairs: Drifted[] = [];
  const left: Drifted[] = [];
  const waits: number[] = [];
  const take = (wanted: Desired, isDrift: boolean, applied?: KubeObject) => {
    if (!isDrift) return writes.push(wanted);
    const drifted = describeDrift(wanted, live.get(keyOf(wanted.id)), applied);
    if (entry.drift !== 'repair') return left.push(drifted);
    const waitMs = repairBackoff.waitMs(keyOf(wanted.id), now);
    if (waitMs > 0) return waits.push(waitMs);
    repairs.push(drifted);
    return writes.push(wanted);
  };
  // Of a deployment that another process began, only what is known to have been applied can have been changed by somebody else.
  const wasThere = ({ id }: Desired) =>
    history === 'applied' || (history === 'begun' && (inventory.get(keyOf(id))?.uid ?? '') !== '');
  for (const wanted of plan.create) take(wanted, wasThere(wanted));
  for (const wanted of plan.configure) take(wanted, history === 'applied');
  for (const { wanted, applied } of checked) take(wanted, history !== 'new', applied);
  return { writes, repairs, left, recheckMs: waits.length > 0 ? Math.min(...waits) : undefined };
}

/** Changes with, for those that put something right, what had been changed and by whom. */
export function explained(changes: readonly Change[], repairs: readonly Drifted[]): Change[] {
  const byKey = new Map(repairs.map((drifted) => [keyOf(drifted.wanted.id), drifted]));
  return changes.map((change) => {
    const drifted = byKey.get(keyOf(change.object));
    return drifted && change.message === '' ? { ...change, fields: drifted.fields, message: drifted.cause } : change;
  });
}

/** Counts repairs, and says what is to be told about drift; `told` is what is left to be told about the deployment itself. */
export function toDriftEvent(
  repairBackoff: Pick<RepairBackoff, 'repaired'>,
  entry: Entry,
  { repairs, left }: DriftDecision,
  changes: readonly Change[],
): { told: readonly Change[]; event: StackEvent | undefined } {
  const keys = new Set(repairs.map(({ wanted }) => keyOf(wanted.id)));
  const repaired = changes.filter(({ object }) => keys.has(keyOf(object)));
  const fought = new Map<string, number>();
  for (const { object } of repaired) {
    const waitMs = repairBackoff.repaired(keyOf(object), Date.now());
    if (waitMs !== undefined) fought.set(keyOf(object), waitMs);
  }
  const event =
    repaired.length > 0
      ? repairedEvent(entry, repaired, fought)
      : left.length > 0 && entry.drift === 'report'
        ? driftedEvent(entry, left)
        : undefined;
  return { told: changes.filter((change) => !repaired.includes(change)), event };
}

/** Says what was put right; `fights` has, for the objects over which somebody fights, how long they are left now. */
function repairedEvent(
  entry: Entry,
  changes: readonly Change[],
  repairBackoff: ReadonlyMap<string, number>,
): StackEvent {
  const [fought] = changes.filter(({ object }) => repairBackoff.has(keyOf(object)));
  const fight = fought
    ? `; ${nameOf(fought.object)} is changed back over and over: it is left for ${Math.round(
        (repairBackoff.get(keyOf(fought.object)) ?? 0) / 1000,
      )} s now`
    : '';
  return eventOf(entry, 'repaired', `${sentence('applied again', changes)}${fight}`, changes);
}

/** Says what was found and left. */
function driftedEvent(entry: Entry, left: readonly Drifted[]): StackEvent {
  const changes = left.map(({ wanted, fields, cause }): Change => {
    const action = cause === deletedCause ? 'created' : 'configured';
    return { object: wanted.id, action, fields, message: cause };
  });
  return eventOf(entry, 'drifted', sentence('left as found', changes), changes);
}

const deletedCause = 'somebody deleted it';

function describeDrift(wanted: Desired, live: KubeObject | undefined, applied: KubeObject | undefined): Drifted {
  if (!live) return { wanted, fields: [], cause: deletedCause };
  const paths = applied ? differences(live, applied) : differences(live, wanted.object, { part: true });
  const managers = managersOf(live, paths);
  const cause = managers.length > 0 ? `changed by ${managers.join(', ')}` : 'somebody changed it';
  return { wanted, fields: paths.map(pathText), cause };
}

function sentence(done: string, changes: readonly Change[]): string {
  const [first] = changes;
  if (!first) return done;
  const fields = first.fields && first.fields.length > 0 ? ` (${first.fields.slice(0, 3).join(', ')})` : '';
  const more = changes.length > 1 ? `; and ${changes.length - 1} more` : '';
  return `${done}: ${nameOf(first.object)}${fields}: ${first.message}${more}`;
}
