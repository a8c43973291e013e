import { sleep } from '../concurrency/backoff.ts';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import { awaitedBy } from '../health/terminating.ts';
import type { Inventory } from '../inventory/inventory.ts';
import type { InventoryItem } from '../inventory/shards.ts';
import { ClusterError, errorMessage, hasStatus, isUnreachable, refusesAnyDeletion } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { canBlockRequests, groupByRank } from '../manifest/kind-order.ts';
import { wavesOf } from '../manifest/waves.ts';
import type { LiveObjects } from '../object/desired-object.ts';
import { andMore, displayName, type KubeObject, keyOf, type ObjectId } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { Pass, SyncContext } from './context.ts';
import { createFence, type Fence, fenceMaxAgeMs } from './fencing.ts';
import { releaseObject } from './ownership/release.ts';
import { isPermanent, type PrunePlan } from './plan-prune.ts';
import { siblingsOf } from './siblings.ts';

/** An object that is being deleted, and what that waits for; empty when it is not known. */
export interface TerminatingObject {
  readonly id: ObjectId;
  readonly awaited: string;
}

/** An object that stays, without the stack's marks. */
export interface ReleasedObject {
  readonly id: ObjectId;
  readonly why: 'disabled' | 'permanent';
}

/** The result of carrying out a prune plan. */
export interface PruneOutcome {
  /** Keys of the objects that the stack no longer has. */
  readonly endedKeys: ReadonlySet<string>;
  readonly released: readonly ReleasedObject[];
  /** Changes of the objects that were released or deleted. */
  readonly changes: readonly Change[];
  readonly failures: readonly Change[];
  /** Objects that are marked for deletion but still there: a finalizer has to let go of them. */
  readonly terminating: readonly TerminatingObject[];
  /** Objects that another stack has taken over, or desires by now; the next pass plans them again. */
  readonly skipped: readonly InventoryItem[];
}

/** Milliseconds that a pass waits for deleted objects to be gone; the next pass checks what takes longer. */
const goneMs = 2_000;
const goneCheckMs = 50;

/**
 * Releases and deletes what the plan says. Rejects with Superseded when the pass has become pointless, and with InventoryConflict
 * when another process has begun something newer.
 */
export async function pruneObjects(
  context: SyncContext,
  pass: Pass,
  plan: Pick<PrunePlan, 'prune' | 'release' | 'drop'>,
  live: LiveObjects,
  inventory: Inventory,
): Promise<PruneOutcome> {
  const { cluster, inventories } = context;
  const { entry, signal } = pass;
  const fence = createFence(inventories, inventory, signal);
  const release = await releaseObjects(cluster, plan.release, entry.stackId, fence, signal);
  const deletion = await deleteObjects(context, pass, plan.prune, live, fence);
  const { deleted, replaced, permanent, terminating, skipped } = deletion;
  const ended = [...plan.drop, ...release.released, ...permanent, ...deleted, ...replaced];
  const released = [
    ...release.released.map(({ id }): ReleasedObject => ({ id, why: isPermanent(id) ? 'permanent' : 'disabled' })),
    ...permanent.map(({ id }): ReleasedObject => ({ id, why: 'permanent' })),
  ];
  return {
    endedKeys: new Set(ended.map(({ id }) => keyOf(id))),
    released,
    changes: [
      ...released.map(({ id, why }): Change => ({ object: id, action: 'configured', message: releaseReasons[why] })),
      ...deleted.map(({ id }): Change => ({ object: id, action: 'deleted', message: '' })),
    ],
    failures: [...release.failures, ...deletion.failures],
    terminating,
    skipped,
  };
}

interface Deletion {
  readonly deleted: InventoryItem[];
  /** Objects that somebody recreated meanwhile: they are no longer what was to be deleted. */
  readonly replaced: InventoryItem[];
  /** Objects that the cluster does not let anybody delete, released instead. */
  readonly permanent: InventoryItem[];
  readonly failures: Change[];
  readonly terminating: TerminatingObject[];
  readonly skipped: InventoryItem[];
}

/**
 * Deletes objects in the reverse of the order in which they are applied, each with its uid as a precondition, and waits until they
 * are gone. What can block requests about others, such as an APIService, goes first whatever its wave. Stops after the first group of which something is left, since what is left may need the rest.
 */
async function deleteObjects(
  context: SyncContext,
  pass: Pass,
  items: readonly InventoryItem[],
  live: LiveObjects,
  fence: Fence,
): Promise<Deletion> {
  const outcome: Deletion = { deleted: [], replaced: [], permanent: [], failures: [], terminating: [], skipped: [] };
  for (const group of groupsOf(items, live).reverse()) {
    await fence(0);
    pass.checkpoint();
    await mapConcurrent(group, passConcurrency, (item) => deleteObject(context, pass, item, fence, outcome));
    if (outcome.failures.length + outcome.terminating.length + outcome.skipped.length > 0) break;
  }
  return outcome;
}

/** Deletes one object, unless another stack has it by now, and adds it to the outcome. */
async function deleteObject(
  context: SyncContext,
  { entry, signal, checkpoint }: Pass,
  item: InventoryItem,
  fence: Fence,
  outcome: Deletion,
): Promise<void> {
  const { cluster, registry } = context;
  await fence(fenceMaxAgeMs);
  // A group may take minutes, in which the siblings' target states may change.
  await registry.loadDesired(siblingsOf(context, entry).filter((sibling) => !registry.isDesiredLoaded(sibling)));
  checkpoint();
  const releaseClaim = claimForDeletion(context, entry, keyOf(item.id));
  if (!releaseClaim) {
    outcome.skipped.push(item);
    return;
  }
  try {
    await cluster.remove(item.id, item.uid, signal);
    const rest = await untilGone(cluster, item, signal);
    if (rest) outcome.terminating.push({ id: item.id, awaited: awaitedBy(rest) });
    else outcome.deleted.push(item);
  } catch (error) {
    if (signal.aborted || isUnreachable(error)) throw error;
    if (hasStatus(error, 409)) outcome.replaced.push(item);
    else if (refusesAnyDeletion(error) && (await releaseObject(cluster, item, entry.stackId, signal)))
      outcome.permanent.push(item);
    else outcome.failures.push({ object: item.id, action: 'failed', message: messageOf(error) });
  } finally {
    releaseClaim();
  }
}

/**
 * Claims an object, so that no sibling takes it over while it is deleted, and returns how to release the claim. Undefined when
 * another stack has the object, desires it, or may desire it as far as is known. Synchronous, so that nothing can change in
 * between.
 */
function claimForDeletion(context: SyncContext, entry: Entry, key: string): (() => void) | undefined {
  const { registry, ownership } = context;
  const { stackId } = entry;
  if ((ownership.ownerOf(key) ?? stackId) !== stackId) return undefined;
  const mayDesire = (sibling: string) => !registry.isDesiredLoaded(sibling) || registry.get(sibling).desired.has(key);
  if (siblingsOf(context, entry).some(mayDesire)) return undefined;
  const claim = ownership.claim(entry, [key], registry.get);
  return claim.conflicts.size > 0 ? undefined : claim.release;
}

async function releaseObjects(
  cluster: Cluster,
  items: readonly InventoryItem[],
  stackId: string,
  fence: Fence,
  signal: AbortSignal,
): Promise<{ released: readonly InventoryItem[]; failures: readonly Change[] }> {
  const released: InventoryItem[] = [];
  const failures: Change[] = [];
  await mapConcurrent(items, passConcurrency, async (item) => {
    await fence(fenceMaxAgeMs);
    const fail = (message: string) => failures.push({ object: item.id, action: 'failed', message });
    try {
      if (await releaseObject(cluster, item, stackId, signal)) released.push(item);
      else fail('it is written by somebody else all the time');
    } catch (error) {
      if (signal.aborted || isUnreachable(error)) throw error;
      fail(messageOf(error));
    }
  });
  return { released, failures };
}

const releaseReasons: Readonly<Record<ReleasedObject['why'], string>> = {
  disabled: 'left where it is, since its deletion is disabled',
  permanent: 'left where it is, since the cluster does not let it be deleted',
};

/** Says which objects were released, and why; empty for none. */
export function describeReleased(objects: readonly ReleasedObject[]): string {
  const [first] = objects;
  if (!first) return '';
  return `${displayName(first.id)}${andMore(objects)} was ${releaseReasons[first.why]}`;
}

/** Says that an object waits for another stack to take it over. */
export function describeHandOver({ id }: InventoryItem): string {
  return `waiting until another stack has taken over ${displayName(id)}`;
}

/** Says which objects are terminating, and what the first of them waits for. */
export function describeTerminating(objects: readonly TerminatingObject[]): string {
  const first = objects.find(({ awaited }) => awaited !== '') ?? objects[0];
  if (!first) return '';
  const awaited = first.awaited === '' ? '' : `, which waits for ${first.awaited}`;
  return `waiting until ${displayName(first.id)} is gone${awaited}${andMore(objects)}`;
}

/** Groups items in the order in which they would be applied; the order annotations are those of the live objects. */
function groupsOf(items: readonly InventoryItem[], live: LiveObjects): (readonly InventoryItem[])[] {
  const withObject = ({ id }: InventoryItem) => {
    const { apiVersion, kind, namespace, name } = id;
    return { id, object: live.get(keyOf(id)) ?? { apiVersion, kind, metadata: { name, namespace } } };
  };
  const [blocking, others] = [
    items.filter(({ id }) => canBlockRequests(id)),
    items.filter(({ id }) => !canBlockRequests(id)),
  ];
  return [...wavesOf(others, withObject).flatMap(({ groups }) => groups), ...groupByRank(blocking, ({ id }) => id)];
}

/** Waits a moment for a deleted object to be gone. Returns what is left of it. */
export async function untilGone(
  cluster: Cluster,
  item: InventoryItem,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const deadline = Date.now() + goneMs;
  for (let waitMs = goneCheckMs; ; waitMs *= 2) {
    const live = await cluster.get(item.id, signal);
    if (!live || live.metadata.uid !== item.uid) return undefined;
    if (Date.now() + waitMs > deadline) return live;
    await sleep(waitMs, signal);
  }
}

function messageOf(error: unknown): string {
  return error instanceof ClusterError ? error.message : errorMessage(error);
}
