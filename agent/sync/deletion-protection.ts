import { createHash } from 'node:crypto';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import type { Item } from '../inventory/shards.ts';
import { ClusterError, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/client.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { servedVersions } from '../manifest/parse.ts';
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
import { comesWithPod, createClaims } from './volume-claims.ts';

/** Deletions that wait for a confirmation. */
export interface Held {
  /** Each with the reason. */
  readonly changes: readonly Change[];
  /** What a confirmation has to name, sorted: a hash for each object as it is now, `many`, or an `unseenKey`. */
  readonly keys: readonly string[];
}

/** Stands for every deletion at the same order. The contract has no room for the keys of more than 100. */
const many = 'many';
const maxKeys = 100;
const nothing: Held = { changes: [], keys: [] };

/**
 * Which of these deletions would take more with them than what was submitted, or are too many to be meant: they wait for a
 * confirmation. None of them is held when all that would be are confirmed; else all are, and a confirmation has to name them all.
 */
export async function findHeldDeletions(
  cluster: Cluster,
  entry: Pick<Entry, 'confirmed' | 'confirmedKeys'>,
  toDelete: readonly Item[],
  live: ReadonlyMap<string, KubeObject>,
  maxDeletions: number,
  signal: AbortSignal,
): Promise<Held> {
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

/** Of one object with this uid: another of the same name is not what was confirmed. */
function confirmationKey(id: ObjectId, live: ReadonlyMap<string, KubeObject>): string {
  return hashOf(`${keyOf(id)} ${live.get(keyOf(id))?.metadata.uid ?? ''}`);
}

/** Of what a removal may leave behind, since it may not look for the stack's objects everywhere. */
export function unseenKey(stackId: string): string {
  return hashOf(`unseen ${stackId}`);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** The deletions that would lose data, or take with them what was never submitted. */
async function findLosses(
  cluster: Cluster,
  toDelete: readonly Item[],
  live: ReadonlyMap<string, KubeObject>,
  signal: AbortSignal,
): Promise<Change[]> {
  const keys = new Set(toDelete.map(({ id }) => keyOf(id)));
  const claims = createClaims(cluster, signal);
  const reasons = await mapConcurrent(toDelete, passConcurrency, async ({ id }) => {
    const found = live.get(keyOf(id));
    // Already on its way out: holding would not bring it back.
    if (!found || found.metadata.deletionTimestamp !== undefined) return undefined;
    if (losesData(id, found)) return 'its data would be lost';
    try {
      if (isCustomResourceDefinition(id)) return await instancesBeyond(cluster, found, keys, signal);
      if (isNamespace(id)) return await contentBeyond(cluster, id.name, keys, signal);
      return await claims.whyLost(id, found.metadata.uid);
    } catch (error) {
      // What is not found here was named by the cluster a moment ago: not found does not mean that there is none.
      if (!(error instanceof ClusterError) || !(hasStatus(error, 403) || hasStatus(error, 404))) throw error;
      return `it cannot be seen what would go with it: ${error.message}`;
    }
  });
  return toDelete.flatMap(({ id }, index) => {
    const message = reasons[index];
    return message === undefined ? [] : [{ object: id, action: 'held' as const, message }];
  });
}

/** A volume claim, or what takes its claims with it. */
function losesData(id: ObjectId, found: KubeObject): boolean {
  const groupKind = groupKindOf(id);
  if (groupKind === '/PersistentVolumeClaim') return true;
  if (groupKind !== 'apps/StatefulSet') return false;
  const policy = textAt(found, 'spec', 'persistentVolumeClaimRetentionPolicy', 'whenDeleted');
  return policy === 'Delete' && listAt(found, 'spec', 'volumeClaimTemplates').length > 0;
}

async function instancesBeyond(
  cluster: Cluster,
  definition: KubeObject,
  listed: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [kind] = servedVersions(definition);
  if (!kind) return 'it cannot be seen what would go with it: none of its versions is served';
  // What is known of the kind may be from a definition that was here before.
  cluster.discovery.forget(kind.apiVersion);
  for await (const { objects } of cluster.versioned(kind, { namespace: '', partial: true }, signal)) {
    const other = objects.find((object) => !listed.has(keyOfListed(kind, object)));
    if (other) return `there are ${kind.kind} objects that would go with it, such as ${placeOf(other)}`;
  }
  return undefined;
}

async function contentBeyond(
  cluster: Cluster,
  namespace: string,
  listed: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const all = await cluster.discovery.contentKinds(signal);
  const kinds = all.filter((kind) => !passing.has(groupKindOf(kind)));
  const owners = new Set(all.map(groupKindOf));
  const found = await mapConcurrent(kinds, passConcurrency, async (kind) => {
    for await (const { objects } of cluster.versioned(kind, { namespace, partial: true }, signal)) {
      const other = objects.find(
        (object) => !listed.has(keyOfListed(kind, object)) && !comesWithNamespace(groupKindOf(kind), object, owners),
      );
      if (other)
        return `there are other objects in it that would go with it, such as ${kind.kind} ${other.metadata.name}`;
    }
    return undefined;
  });
  return found.find((reason) => reason !== undefined);
}

/** Groups and kinds of what the cluster writes by itself about other objects. */
const passing: ReadonlySet<string> = new Set([
  '/Event',
  'events.k8s.io/Event',
  '/Endpoints',
  'discovery.k8s.io/EndpointSlice',
  'coordination.k8s.io/Lease',
  'apps/ControllerRevision',
  'metrics.k8s.io/PodMetrics',
]);

/** `kind` with its group; `owners`: kinds of what can be in a namespace. */
function comesWithNamespace(kind: string, object: KubeObject, owners: ReadonlySet<string>): boolean {
  const { metadata } = object;
  if (isPruneDisabled(object)) return false;
  if (kind === '/ServiceAccount') return metadata.name === 'default';
  if (kind === '/ConfigMap') return metadata.name === 'kube-root-ca.crt';
  // Whoever owns a claim: what is in it was not asked for by deleting the owner.
  if (kind === '/PersistentVolumeClaim') return comesWithPod(object);
  // A pod of a listed Deployment, and the like: it goes with its owner in any case, but for one that is outside and stays.
  return metadata.ownerReferences?.some((owner) => owners.has(groupKindOf(owner))) ?? false;
}

function keyOfListed({ apiVersion, kind }: Pick<ObjectId, 'apiVersion' | 'kind'>, { metadata }: KubeObject): string {
  return keyOf({ apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name });
}

function placeOf(object: KubeObject): string {
  const namespace = textAt(object, 'metadata', 'namespace');
  return `${namespace ? `${namespace}/` : ''}${object.metadata.name}`;
}
