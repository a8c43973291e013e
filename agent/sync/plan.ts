import type { Item } from '../inventory/shards.ts';
import { checksumOf, matchesDesired } from '../object/compare.ts';
import {
  isAppliedFor,
  isPruneDisabled,
  type KubeObject,
  keyOf,
  type ObjectId,
  stackLabel,
} from '../object/kube-object.ts';

/** An object as this stack wants it: placed and stamped. */
export interface Desired {
  readonly id: ObjectId;
  readonly object: KubeObject;
  readonly checksum: string;
}

export type Live = ReadonlyMap<string, KubeObject>;

export interface PlanInput {
  readonly stackId: string;
  readonly desired: readonly Desired[];
  readonly inventory: ReadonlyMap<string, Item>;
  /** False while the inventory is not whole: then nothing is pruned. */
  readonly mayPrune: boolean;
  /** What is in the cluster, of the desired objects and those in the inventory. */
  readonly live: Live;
  readonly ownerOf: (key: string) => string | undefined;
  /** Whether another active stack of the same generator desires the object. */
  readonly wantedElsewhere: (key: string) => boolean;
  /** Uids of objects that other stacks of the agent have, under whatever name. */
  readonly elsewhere: ReadonlySet<string>;
}

/** What one pass over a stack has to do. */
export interface Plan {
  readonly create: readonly Desired[];
  /** Another content than what was applied last. */
  readonly configure: readonly Desired[];
  /** The same content was applied, but the live object reads differently: a dry run tells whether that means anything. */
  readonly check: readonly Desired[];
  readonly unchanged: readonly Desired[];
  /** Being deleted just now: to be made anew when it is gone. */
  readonly terminating: readonly Desired[];
  /** Of those to configure, the ones that exist and that no stack has applied. */
  readonly foreign: readonly Desired[];
  /** What the inventory has to say before anything is applied. */
  readonly items: readonly Item[];
  /** To delete, with the uid that must still be there. */
  readonly prune: readonly Item[];
  /** Says itself that it is not to be deleted: it stays, without the stack's marks. */
  readonly release: readonly Item[];
  /** No longer ours, or gone: only the entry goes. */
  readonly drop: readonly Item[];
  /** Stays until the stack that desires it has taken it over. */
  readonly handOver: readonly Item[];
}

/** Decides, from what should be and what is; does nothing itself. */
export function planStack(input: PlanInput): Plan {
  const { stackId, desired, inventory, live } = input;
  const create: Desired[] = [];
  const configure: Desired[] = [];
  const check: Desired[] = [];
  const unchanged: Desired[] = [];
  const terminating: Desired[] = [];
  const foreign: Desired[] = [];
  const items: Item[] = [];
  for (const wanted of desired) {
    const key = keyOf(wanted.id);
    const found = live.get(key);
    // What was not applied for this stack yet is not its own yet: a uid in the inventory is a right to delete.
    items.push({ id: wanted.id, uid: found && isAppliedFor(found, stackId) ? (found.metadata.uid ?? '') : '' });
    if (!found) create.push(wanted);
    else if (found.metadata.deletionTimestamp !== undefined) terminating.push(wanted);
    else if (checksumOf(found) !== wanted.checksum || found.metadata.labels?.[stackLabel] !== stackId) {
      configure.push(wanted);
      if (isForeign(input, key, found)) foreign.push(wanted);
    } else if (matchesDesired(wanted.object, found)) unchanged.push(wanted);
    else check.push(wanted);
  }
  const listed = new Set(desired.map(({ id }) => keyOf(id)));
  const gone = [...inventory].flatMap(([key, item]) => (listed.has(key) ? [] : [item]));
  if (!input.mayPrune) {
    return {
      create,
      configure,
      check,
      unchanged,
      terminating,
      foreign,
      items: [...items, ...gone],
      prune: [],
      release: [],
      drop: [],
      handOver: [],
    };
  }
  return {
    create,
    configure,
    check,
    unchanged,
    terminating,
    foreign,
    items: [...items, ...gone],
    ...planPrune({ ...input, elsewhere: new Set([...input.elsewhere, ...uidsOf(desired, live)]) }, gone),
  };
}

/** Of what is desired and there: a kind that is served in two groups gives one object two names. */
function uidsOf(desired: readonly Desired[], live: Live): string[] {
  return desired.flatMap(({ id }) => live.get(keyOf(id))?.metadata.uid ?? []);
}

/** Sorts what a stack no longer lists into what is deleted, what is not its own to delete, and what another stack takes over. */
export function planPrune(
  { stackId, live, ownerOf, wantedElsewhere, elsewhere }: Omit<PlanInput, 'desired' | 'inventory' | 'mayPrune'>,
  gone: readonly Item[],
): Pick<Plan, 'prune' | 'release' | 'drop' | 'handOver'> {
  const prune: Item[] = [];
  const release: Item[] = [];
  const drop: Item[] = [];
  const handOver: Item[] = [];
  for (const item of gone) {
    const key = keyOf(item.id);
    const found = live.get(key);
    const owner = ownerOf(key);
    if (!found || (owner !== undefined && owner !== stackId)) drop.push(item);
    else if (wantedElsewhere(key)) handOver.push(item);
    else if (found.metadata.uid !== undefined && elsewhere.has(found.metadata.uid)) drop.push(item);
    else if (isOurs(stackId, item, found))
      (isPruneDisabled(found) ? release : prune).push({ id: item.id, uid: found.metadata.uid ?? '' });
    else drop.push(item);
  }
  return { prune, release, drop, handOver };
}

/** Neither applied for this stack, nor known to be this one's or another's. */
function isForeign({ stackId, inventory, ownerOf }: PlanInput, key: string, found: KubeObject): boolean {
  const owner = ownerOf(key);
  if (owner !== undefined && owner !== stackId) return false;
  const isKnown = found.metadata.uid !== undefined && inventory.get(key)?.uid === found.metadata.uid;
  return !isKnown && !isAppliedFor(found, stackId);
}

/** The very object that was applied: not one that somebody made anew, that another owner has claimed, or another stack labelled. */
function isOurs(stackId: string, item: Item, found: KubeObject): boolean {
  const { metadata } = found;
  if ((metadata.ownerReferences?.length ?? 0) > 0) return false;
  const label = metadata.labels?.[stackLabel];
  if (item.uid === '') return isAppliedFor(found, stackId);
  return item.uid === metadata.uid && (label === undefined || label === stackId);
}
