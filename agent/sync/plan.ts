import type { Item } from '../inventory/shards.ts';
import { checksumOf, matchesDesired } from '../object/compare.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { isAppliedFor, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import { type PruneInput, type PrunePlan, planPrune } from './plan-prune.ts';

export interface PlanInput extends PruneInput {
  readonly desired: readonly DesiredObject[];
  readonly inventory: ReadonlyMap<string, Item>;
  /** False while the inventory is incomplete or a manifest of another stack is missing: then nothing is pruned. */
  readonly mayPrune: boolean;
}

/** The work of one pass over a stack. */
export interface Plan extends PrunePlan {
  readonly create: readonly DesiredObject[];
  /** Objects whose content differs from what was applied last, or that this stack has not applied. */
  readonly configure: readonly DesiredObject[];
  /** Objects that were applied with the same content but read differently: a dry run shows whether they have drifted. */
  readonly check: readonly DesiredObject[];
  readonly unchanged: readonly DesiredObject[];
  /** Terminating objects, which are recreated once gone. */
  readonly terminating: readonly DesiredObject[];
  /** The objects of `configure` that exist although no stack of this agent has applied them. */
  readonly foreign: readonly DesiredObject[];
  /** Content of the inventory before anything is applied. */
  readonly items: readonly Item[];
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
  const items: Item[] = [];
  for (const wanted of desired) {
    const key = keyOf(wanted.id);
    const object = live.get(key);
    // A uid in the inventory entitles the stack to delete the object, so it is recorded only for objects that the stack has applied.
    items.push({ id: wanted.id, uid: object && isAppliedFor(object, stackId) ? (object.metadata.uid ?? '') : '' });
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
    terminating,
    foreign,
    items: [...items, ...unlisted],
    ...(input.mayPrune ? planPrune({ ...input, uidsInUse }, unlisted) : noPrune),
  };
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
