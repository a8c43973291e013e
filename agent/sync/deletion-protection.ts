import { createHash } from 'node:crypto';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import type { Item } from '../inventory/shards.ts';
import { ClusterError, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { servedVersions } from '../manifest/parse.ts';
import type { LiveObjects } from '../object/desired-object.ts';
import {
  groupKindOf,
  isCustomResourceDefinition,
  isNamespace,
  isPruneDisabled,
  type KubeObject,
  keyOf,
  listAt,
  type ObjectId,
  textAt,
} from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import { createVolumeClaims, isEphemeralVolumeClaim } from './volume-claims.ts';

/** Deletions that wait for a confirmation. */
export interface HeldDeletions {
  /** One change for each held object, with the reason. */
  readonly changes: readonly Change[];
  /** The keys that a confirmation has to name, sorted: a hash for each object as it is now, `many`, or an `unseenKey`. */
  readonly keys: readonly string[];
}

/** Confirms every deletion at the same order; the contract allows at most 100 keys, so more objects than that share this one. */
const many = 'many';
const maxKeys = 100;
const nothing: HeldDeletions = { changes: [], keys: [] };

/**
 * Returns the deletions that would take more with them than what was submitted, or all of them when they are too many to be meant.
 * Returns none when the entry confirms all of them; a confirmation of only some holds them all.
 */
export async function findHeldDeletions(
  cluster: Cluster,
  entry: Pick<Entry, 'confirmed' | 'confirmedKeys'>,
  toDelete: readonly Item[],
  live: LiveObjects,
  maxDeletions: number,
  signal: AbortSignal,
): Promise<HeldDeletions> {
  const confirmed = new Set(entry.confirmed ? entry.confirmedKeys : []);
  if (confirmed.has(many)) return nothing;
  if (toDelete.length > maxDeletions) {
    const message = `one of ${toDelete.length} deletions at once, more than ${maxDeletions}`;
    return { changes: toDelete.map(({ id }) => ({ object: id, action: 'held', message })), keys: [many] };
  }
  const changes = await findLosses(cluster, toDelete, live, signal);
  const keys = changes.map(({ object }) => confirmationKey(object, live)).sort();
  if (keys.every((key) => confirmed.has(key))) return nothing;
  return { changes, keys: keys.length > maxKeys ? [many] : keys };
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
  toDelete: readonly Item[],
  live: LiveObjects,
  signal: AbortSignal,
): Promise<Change[]> {
  const keys = new Set(toDelete.map(({ id }) => keyOf(id)));
  const volumeClaims = createVolumeClaims(cluster, signal);
  const reasons = await mapConcurrent(toDelete, passConcurrency, async ({ id }) => {
    const object = live.get(keyOf(id));
    // Holding cannot bring a terminating object back.
    if (!object || object.metadata.deletionTimestamp !== undefined) return undefined;
    if (losesData(id, object)) return 'its data would be lost';
    try {
      if (isCustomResourceDefinition(id)) return await otherInstances(cluster, object, keys, signal);
      if (isNamespace(id)) return await otherContent(cluster, id.name, keys, signal);
      return await volumeClaims.lossReason(id, object.metadata.uid);
    } catch (error) {
      // Discovery just listed the kind, so a 404 does not prove that there are no objects of it.
      if (!(error instanceof ClusterError) || !(hasStatus(error, 403) || hasStatus(error, 404))) throw error;
      return `it cannot be seen what would go with it: ${error.message}`;
    }
  });
  return toDelete.flatMap(({ id }, index) => {
    const message = reasons[index];
    return message === undefined ? [] : [{ object: id, action: 'held' as const, message }];
  });
}

/** Returns whether the object is a volume claim, or takes its volume claims with it. */
function losesData(id: ObjectId, object: KubeObject): boolean {
  const groupKind = groupKindOf(id);
  if (groupKind === '/PersistentVolumeClaim') return true;
  if (groupKind !== 'apps/StatefulSet') return false;
  const policy = textAt(object, 'spec', 'persistentVolumeClaimRetentionPolicy', 'whenDeleted');
  return policy === 'Delete' && listAt(object, 'spec', 'volumeClaimTemplates').length > 0;
}

/** Returns why a definition must be held: it has instances that are not deleted with it. */
async function otherInstances(
  cluster: Cluster,
  definition: KubeObject,
  deletedKeys: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [kind] = servedVersions(definition);
  if (!kind) return 'it cannot be seen what would go with it: none of its versions is served';
  // The cached discovery may still describe an earlier definition of the kind.
  cluster.discovery.forget(kind.apiVersion);
  for await (const { objects } of cluster.listVersioned(kind, { namespace: '', metadataOnly: true }, signal)) {
    const other = objects.find((object) => !deletedKeys.has(keyAs(kind, object)));
    if (other) return `there are ${kind.kind} objects that would go with it, such as ${namespacedName(other)}`;
  }
  return undefined;
}

/** Returns why a namespace must be held: it contains objects that are not deleted with the stack. */
async function otherContent(
  cluster: Cluster,
  namespace: string,
  deletedKeys: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const all = await cluster.discovery.namespacedKinds(signal);
  const kinds = all.filter((kind) => !derivedKinds.has(groupKindOf(kind)));
  const ownerKinds = new Set(all.map(groupKindOf));
  const reasons = await mapConcurrent(kinds, passConcurrency, async (kind) => {
    for await (const { objects } of cluster.listVersioned(kind, { namespace, metadataOnly: true }, signal)) {
      const other = objects.find(
        (object) => !deletedKeys.has(keyAs(kind, object)) && !isExpendable(groupKindOf(kind), object, ownerKinds),
      );
      if (other)
        return `there are other objects in it that would go with it, such as ${kind.kind} ${other.metadata.name}`;
    }
    return undefined;
  });
  return reasons.find((reason) => reason !== undefined);
}

/** Groups and kinds of objects that the cluster derives from other objects. */
const derivedKinds: ReadonlySet<string> = new Set([
  '/Event',
  'events.k8s.io/Event',
  '/Endpoints',
  'discovery.k8s.io/EndpointSlice',
  'coordination.k8s.io/Lease',
  'apps/ControllerRevision',
  'metrics.k8s.io/PodMetrics',
]);

/**
 * Returns whether nobody misses the object when its namespace goes. `groupKind` is its kind with its group, `ownerKinds` are the
 * kinds that a namespace can contain.
 */
function isExpendable(groupKind: string, object: KubeObject, ownerKinds: ReadonlySet<string>): boolean {
  const { metadata } = object;
  if (isPruneDisabled(object)) return false;
  if (groupKind === '/ServiceAccount') return metadata.name === 'default';
  if (groupKind === '/ConfigMap') return metadata.name === 'kube-root-ca.crt';
  // Deleting a claim's owner was no request to delete the data in it, whoever owns the claim.
  if (groupKind === '/PersistentVolumeClaim') return isEphemeralVolumeClaim(object);
  // A dependent, such as a pod of a Deployment, goes with its owner in any case, unless the owner is cluster-scoped and stays.
  return metadata.ownerReferences?.some((owner) => ownerKinds.has(groupKindOf(owner))) ?? false;
}

/** Returns the key of a listed object, which may come without its own apiVersion and kind. */
function keyAs({ apiVersion, kind }: Pick<ObjectId, 'apiVersion' | 'kind'>, { metadata }: KubeObject): string {
  return keyOf({ apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name });
}

function namespacedName(object: KubeObject): string {
  const namespace = textAt(object, 'metadata', 'namespace');
  return `${namespace ? `${namespace}/` : ''}${object.metadata.name}`;
}
