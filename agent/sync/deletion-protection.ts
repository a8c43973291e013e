import { createHash } from 'node:crypto';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import type { InventoryItem } from '../inventory/shards.ts';
import { ClusterError, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import type { LiveObjects } from '../object/desired-object.ts';
import {
  groupKindOf,
  isCustomResourceDefinition,
  isNamespace,
  type KubeObject,
  keyOf,
  listAt,
  type ObjectId,
  textAt,
} from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import { otherContent, otherInstances } from './losses/content.ts';
import { type Loss, unseen } from './losses/loss.ts';
import { createVolumeClaims } from './volume-claims.ts';

/** Deletions that wait for a confirmation. */
export interface HeldDeletions {
  /** Set when nothing has to be confirmed, but another removal has to take its objects away first: says which. */
  readonly awaited?: string;
  /** One change for each held object, with the reason. */
  readonly changes: readonly Change[];
  /** The keys that a confirmation has to name, sorted: a hash for each object as it is now, `many`, or an `unseenKey`. */
  readonly keys: readonly string[];
}

/** Confirms every deletion at the same order; the contract allows at most 100 keys, so more objects than that share this one. */
const many = 'many';
const maxKeys = 100;
const nothing: HeldDeletions = { changes: [], keys: [] };

export interface Deletions {
  readonly entry: Pick<Entry, 'confirmed' | 'confirmedKeys'>;
  readonly toDelete: readonly InventoryItem[];
  readonly live: LiveObjects;
  /** A pass that would delete more objects than this holds them all. */
  readonly maxDeletions: number;
  /** Returns the name of the other stack that is being removed, and has this object, by key. */
  readonly removedWith: (key: string) => string | undefined;
}

/**
 * Returns the deletions that would take more with them than what was submitted, or all of them when they are too many to be meant.
 * Returns none when the entry confirms all of them; a confirmation of only some holds them all.
 */
export async function findHeldDeletions(
  cluster: Cluster,
  deletions: Deletions,
  signal: AbortSignal,
): Promise<HeldDeletions> {
  const { entry, toDelete, live, maxDeletions } = deletions;
  const confirmed = new Set(entry.confirmed ? entry.confirmedKeys : []);
  if (confirmed.has(many)) return nothing;
  if (toDelete.length > maxDeletions) {
    const message = `one of ${toDelete.length} deletions at once, more than ${maxDeletions}`;
    return { changes: toDelete.map(({ id }) => ({ object: id, action: 'held', message })), keys: [many] };
  }
  const losses = await findLosses(cluster, deletions, signal);
  const awaited = losses.find(({ kind }) => kind === 'awaited')?.reason;
  const waiting = awaited === undefined ? nothing : { ...nothing, awaited };
  const changes = losses.flatMap(({ id, kind, reason }): Change[] =>
    kind === 'held' ? [{ object: id, action: 'held', message: reason }] : [],
  );
  const keys = changes.map(({ object }) => confirmationKey(object, live)).sort();
  if (keys.every((key) => confirmed.has(key))) return waiting;
  return { ...waiting, changes, keys: keys.length > maxKeys ? [many] : keys };
}

/** Returns the key that confirms the deletion of one object with its present uid, and of no other object of the same name. */
function confirmationKey(id: ObjectId, live: LiveObjects): string {
  return hashOf(`${keyOf(id)} ${live.get(keyOf(id))?.metadata.uid ?? ''}`);
}

/** Returns the key that confirms a removal which may leave objects behind, because the agent may not search everywhere. */
export function unseenKey(stackId: string): string {
  return hashOf(`unseen ${stackId}`);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Returns the deletions that would lose data, or would also delete objects that the stack never submitted. */
async function findLosses(
  cluster: Cluster,
  { toDelete, live, removedWith }: Deletions,
  signal: AbortSignal,
): Promise<(Loss & { readonly id: ObjectId })[]> {
  const deleted = { keys: new Set(toDelete.map(({ id }) => keyOf(id))), apis: apisOf(toDelete, live), removedWith };
  const volumeClaims = createVolumeClaims(cluster, signal);
  const losses = await mapConcurrent(toDelete, passConcurrency, async ({ id }): Promise<Loss | undefined> => {
    const object = live.get(keyOf(id));
    // Holding cannot bring a terminating object back.
    if (!object || object.metadata.deletionTimestamp !== undefined) return undefined;
    if (losesData(id, object)) return { kind: 'held', reason: 'its data would be lost' };
    try {
      if (isCustomResourceDefinition(id)) return await otherInstances(cluster, object, deleted, signal);
      if (isNamespace(id)) return await otherContent(cluster, id.name, deleted, signal);
      const reason = await volumeClaims.lossReason(id, object.metadata.uid);
      return reason === undefined ? undefined : { kind: 'held', reason };
    } catch (error) {
      if (!(error instanceof ClusterError) || !(hasStatus(error, 403) || hasStatus(error, 404))) throw error;
      return { kind: 'held', reason: unseen(error.message) };
    }
  });
  return toDelete.flatMap(({ id }, index) => {
    const loss = losses[index];
    return loss ? [{ ...loss, id }] : [];
  });
}

/** Returns the API versions that APIServices among these objects serve: they go first, and take their kinds out of the API. */
function apisOf(toDelete: readonly InventoryItem[], live: LiveObjects): Set<string> {
  return new Set(
    toDelete.flatMap(({ id }) => {
      if (groupKindOf(id) !== 'apiregistration.k8s.io/APIService') return [];
      const object = live.get(keyOf(id));
      return object ? [`${textAt(object, 'spec', 'group')}/${textAt(object, 'spec', 'version')}`] : [];
    }),
  );
}

/** Returns whether the object is a volume claim, or takes its volume claims with it. */
function losesData(id: ObjectId, object: KubeObject): boolean {
  const groupKind = groupKindOf(id);
  if (groupKind === '/PersistentVolumeClaim') return true;
  if (groupKind !== 'apps/StatefulSet') return false;
  const policy = textAt(object, 'spec', 'persistentVolumeClaimRetentionPolicy', 'whenDeleted');
  return policy === 'Delete' && listAt(object, 'spec', 'volumeClaimTemplates').length > 0;
}
