import { runOf, verdictOfEnded } from '../health/run.ts';
import type { Verdict } from '../health/status.ts';
import type { InventoryItem } from '../inventory/shards.ts';
import { checksumOf, matchesDesired } from '../object/compare.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { isAppliedFor, type KubeObject, keyOf, type ObjectId, stackLabel } from '../object/kube-object.ts';
import type { Run } from '../object/run.ts';
import { type PruneInput, type PrunePlan, planPrune } from './plan-prune.ts';

export interface PlanInput extends PruneInput {
  readonly desired: readonly DesiredObject[];
  readonly inventory: ReadonlyMap<string, InventoryItem>;
  /** False while the inventory is incomplete or a manifest of another stack is missing: then nothing is pruned. */
  readonly mayPrune: boolean;
  /** Returns the run of an object as watches have seen it, by key; undefined when none has. */
  readonly seenRunOf?: (key: string) => Run | undefined;
}

/** The work of one pass over a stack. */
export interface Plan extends PrunePlan {
  readonly create: readonly DesiredObject[];
  /** Objects whose content differs from what was applied last, or that this stack has not applied. */
  readonly configure: readonly DesiredObject[];
  /** Objects that were applied with the same content but read differently: a dry run shows whether they have drifted. */
  readonly check: readonly DesiredObject[];
  readonly unchanged: readonly DesiredObject[];
  /** Objects that are gone since they have run to their end, by key, with their health: they are not applied again. */
  readonly ended: ReadonlyMap<string, Verdict>;
  /** Terminating objects, which are recreated once gone. */
  readonly terminating: readonly DesiredObject[];
  /** The objects of `configure` that exist although no stack of this agent has applied them. */
  readonly foreign: readonly DesiredObject[];
  /** Content of the inventory before anything is applied. */
  readonly inventoryItems: readonly InventoryItem[];
}

const noPrune: PrunePlan = { prune: [], release: [], drop: [], handOver: [] };

/** Compares the desired with the live objects and decides what to do with each. Pure: it asks nobody and changes nothing. */
export function planStack(input: PlanInput): Plan {
  const { stackId, desired, inventory, live } = input;
  const create: DesiredObject[] = [];
  const configure: DesiredObject[] = [];
  const check: DesiredObject[] = [];
  const unchanged: DesiredObject[] = [];
  const terminating: DesiredObject[] = [];
  const foreign: DesiredObject[] = [];
  const ended = new Map<string, Verdict>();
  const items: InventoryItem[] = [];
  for (const wanted of desired) {
    const key = keyOf(wanted.id);
    const object = live.get(key);
    const end = object ? undefined : endOf(input, key, wanted);
    if (end) {
      ended.set(key, end.verdict);
      items.push(end.item);
      continue;
    }
    // A uid in the inventory entitles the stack to delete the object, so it is recorded only for objects that the stack has applied.
    items.push(object && isAppliedFor(object, stackId) ? itemFor(wanted.id, object) : { id: wanted.id, uid: '' });
    if (!object) create.push(wanted);
    else if (object.metadata.deletionTimestamp !== undefined) terminating.push(wanted);
    else if (checksumOf(object) !== wanted.checksum || object.metadata.labels?.[stackLabel] !== stackId) {
      configure.push(wanted);
      if (isForeign(input, key, object)) foreign.push(wanted);
    } else if (matchesDesired(wanted.object, object)) unchanged.push(wanted);
    else check.push(wanted);
  }
  const desiredKeys = new Set(desired.map(({ id }) => keyOf(id)));
  const unlisted = [...inventory].flatMap(([key, item]) => (desiredKeys.has(key) ? [] : [item]));
  // A kind that is served in two API groups gives one object two keys: what is desired under one must not be deleted under the other.
  const uidsInUse = new Set([...input.uidsInUse, ...uidsOf(desired, live)]);
  return {
    create,
    configure,
    check,
    unchanged,
    ended,
    terminating,
    foreign,
    inventoryItems: [...items, ...unlisted],
    ...(input.mayPrune ? planPrune({ ...input, uidsInUse }, unlisted) : noPrune),
  };
}

/** Returns the inventory item of an object that the stack has applied. */
export function itemFor(id: ObjectId, object: KubeObject): InventoryItem {
  const run = runOf(object);
  return { id, uid: object.metadata.uid ?? '', ...(run && { run }) };
}

/** Returns the item and the health of an object that is gone because it has run to its end; undefined for one to be applied. */
function endOf(
  { inventory, seenRunOf }: Pick<PlanInput, 'inventory' | 'seenRunOf'>,
  key: string,
  { checksum }: DesiredObject,
): { item: InventoryItem; verdict: Verdict } | undefined {
  const item = inventory.get(key);
  const run = seenRunOf?.(key) ?? item?.run;
  if (!item || run?.uid !== item.uid) return undefined;
  const verdict = verdictOfEnded(run, checksum);
  return verdict && { item: { ...item, run }, verdict };
}

function uidsOf(desired: readonly DesiredObject[], live: LiveObjects): string[] {
  return desired.flatMap(({ id }) => live.get(keyOf(id))?.metadata.uid ?? []);
}

/** Returns whether the object exists although neither this stack nor another one of this agent is known to have applied it. */
function isForeign({ stackId, inventory, ownerOf }: PlanInput, key: string, object: KubeObject): boolean {
  const owner = ownerOf(key);
  if (owner !== undefined && owner !== stackId) return false;
  const isKnown = object.metadata.uid !== undefined && inventory.get(key)?.uid === object.metadata.uid;
  return !isKnown && !isAppliedFor(object, stackId);
}
