import { sleep } from '../concurrency/backoff.ts';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import type { Item } from '../inventory/shards.ts';
import { ClusterError, errorMessage, hasStatus, isUnreachable } from '../kube/api-error.ts';
import type { Cluster } from '../kube/client.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { wavesOf } from '../manifest/waves.ts';
import { andMore, checksumAnnotation, type KubeObject, keyOf, nameOf, stackLabel } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { Pass, SyncContext } from './context.ts';
import type { Fence } from './fencing.ts';

export interface Deletion {
  readonly deleted: readonly Item[];
  /** Somebody made it anew meanwhile: no longer what was to be deleted. */
  readonly replaced: readonly Item[];
  readonly failed: readonly Change[];
  /** Marked as being deleted, and still there: something else has to let go of it. */
  readonly leaving: readonly Item[];
  /** Another stack has, or wants, it by now: to be planned anew. */
  readonly skipped: readonly Item[];
}

/** How long a pass waits for objects to be gone; what takes longer is looked at again by the next one. */
const goneMs = 2_000;
const lookEveryMs = 50;
/** Within a group, whether another process is newer is asked this often. */
export const guardMs = 1_000;

/**
 * Deletes objects in the reverse of the order in which they are applied, each with its uid as a precondition, and sees them gone.
 * Goes no further than the first group of which something is left: what is left may need the rest. The plan may be old by now, so
 * each object is asked for again: what another stack took over, or wants, is spared. Throws Superseded when the pass is to end, and
 * InventoryConflict when another process is newer.
 */
export async function deleteObjects(
  context: SyncContext,
  pass: Pass,
  items: readonly Item[],
  live: ReadonlyMap<string, KubeObject>,
  fence: Fence,
): Promise<Deletion> {
  const { cluster, registry } = context;
  const { entry, signal, checkpoint } = pass;
  const deleted: Item[] = [];
  const replaced: Item[] = [];
  const failed: Change[] = [];
  const leaving: Item[] = [];
  const skipped: Item[] = [];
  for (const group of groupsOf(items, live).reverse()) {
    await fence(0);
    checkpoint();
    await mapConcurrent(group, passConcurrency, async (item) => {
      await fence(guardMs);
      // A group may take minutes, in which others are told anew.
      await registry.loadDesired(rivalsOf(context, entry).filter((rival) => !registry.isDesiredLoaded(rival)));
      checkpoint();
      const release = claimToDelete(context, entry, keyOf(item.id));
      if (!release) return void skipped.push(item);
      try {
        await cluster.remove(item.id, item.uid, signal);
        if (await isGone(cluster, item, signal)) deleted.push(item);
        else leaving.push(item);
      } catch (error) {
        if (signal.aborted || isUnreachable(error)) throw error;
        if (hasStatus(error, 409)) replaced.push(item);
        else failed.push({ object: item.id, action: 'failed', message: messageOf(error) });
      } finally {
        release();
      }
    });
    if (failed.length > 0 || leaving.length > 0 || skipped.length > 0) break;
  }
  return { deleted, replaced, failed, leaving, skipped };
}

/** Stacks that may take over what this one no longer lists. */
function rivalsOf({ registry }: SyncContext, { generator, stackId }: Entry): string[] {
  return registry.activeStacksOf(generator, stackId);
}

/**
 * Keeps others from taking an object over while it is deleted, until the answer is called; undefined when one has, or wants, it, or
 * may want it as far as is known. Does not wait: what it looks at is true until the answer is there.
 */
function claimToDelete(context: SyncContext, entry: Entry, key: string): (() => void) | undefined {
  const { registry, ownership } = context;
  const { stackId } = entry;
  if ((ownership.ownerOf(key) ?? stackId) !== stackId) return undefined;
  const isWanted = (rival: string) => !registry.isDesiredLoaded(rival) || registry.get(rival).desired.has(key);
  if (rivalsOf(context, entry).some(isWanted)) return undefined;
  const claim = ownership.claim(entry, [key], registry.get);
  return claim.conflicts.size > 0 ? undefined : claim.release;
}

/**
 * Takes the stack's marks off an object that stays. False when somebody else wrote it at the same time, again and again; true when
 * it is done, or there is nothing of ours to release.
 */
export async function releaseObject(
  cluster: Cluster,
  item: Item,
  stackId: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const live = await cluster.get(item.id, signal);
    if (!live || live.metadata.labels?.[stackLabel] !== stackId) return true;
    try {
      await cluster.replace(withoutMarks(live), signal);
      return true;
    } catch (error) {
      if (hasStatus(error, 404)) return true;
      if (!hasStatus(error, 409)) throw error;
    }
  }
  return false;
}

/**
 * Takes the stack's marks off objects that say that they are not to be deleted. Answers what was done, and what could not be. Throws
 * InventoryConflict when another process is newer.
 */
export async function releaseKept(
  cluster: Cluster,
  items: readonly Item[],
  stackId: string,
  fence: Fence,
  signal: AbortSignal,
): Promise<{ released: readonly Item[]; changes: readonly Change[]; failed: readonly Change[] }> {
  const released: Item[] = [];
  const failed: Change[] = [];
  await mapConcurrent(items, passConcurrency, async (item) => {
    await fence(guardMs);
    const fault = (message: string) => failed.push({ object: item.id, action: 'failed', message });
    try {
      if (await releaseObject(cluster, item, stackId, signal)) released.push(item);
      else fault('it is written by somebody else all the time');
    } catch (error) {
      if (signal.aborted || isUnreachable(error)) throw error;
      fault(messageOf(error));
    }
  });
  const changes = released.map(({ id }): Change => ({ object: id, action: 'configured', message: keptMessage }));
  return { released, changes, failed };
}

const keptMessage = 'left where it is, since its deletion is disabled';

/** For people: which objects were left, and why. Empty for none. */
export function describeKept(items: readonly Item[]): string {
  const [first] = items;
  if (!first) return '';
  return `${nameOf(first.id)}${andMore(items)} was ${keptMessage}`;
}

/** Who is to have an object from now on, for people. */
export function describeSpared({ id }: Item): string {
  return `waiting until another stack has taken over ${nameOf(id)}`;
}

/** What still holds an object, for people. */
export function describeLeaving(items: readonly Item[]): string {
  const [first] = items;
  if (!first) return '';
  const rest = items.length > 1 ? ` and ${items.length - 1} more` : '';
  return `waiting until ${nameOf(first.id)}${rest} is gone: a finalizer or the objects in it may hold it`;
}

/** In the order in which they would be applied, by what the objects themselves say. */
function groupsOf(items: readonly Item[], live: ReadonlyMap<string, KubeObject>): (readonly Item[])[] {
  const placedOf = ({ id }: Item) => {
    const { apiVersion, kind, namespace, name } = id;
    return { id, object: live.get(keyOf(id)) ?? { apiVersion, kind, metadata: { name, namespace } } };
  };
  return wavesOf(items, placedOf).flatMap(({ groups }) => groups);
}

async function isGone(cluster: Cluster, item: Item, signal: AbortSignal): Promise<boolean> {
  const end = Date.now() + goneMs;
  for (let waitMs = lookEveryMs; ; waitMs *= 2) {
    const live = await cluster.get(item.id, signal);
    if (!live || live.metadata.uid !== item.uid) return true;
    if (Date.now() + waitMs > end) return false;
    await sleep(waitMs, signal);
  }
}

function withoutMarks(live: KubeObject): KubeObject {
  const { labels = {}, annotations = {} } = live.metadata;
  const without = (map: Readonly<Record<string, string>>, key: string) =>
    Object.fromEntries(Object.entries(map).filter(([name]) => name !== key));
  const metadata = {
    ...live.metadata,
    labels: without(labels, stackLabel),
    annotations: without(annotations, checksumAnnotation),
  };
  return { ...live, metadata };
}

function messageOf(error: unknown): string {
  return error instanceof ClusterError ? error.message : errorMessage(error);
}
