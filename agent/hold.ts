import type { Cluster } from './cluster.ts';
import { ClusterError, hasStatus } from './cluster-error.ts';
import type { Change } from './event.ts';
import type { Item } from './inventory-layout.ts';
import { mapLimited } from './limit.ts';
import { passConcurrency } from './live.ts';
import { servedVersions } from './manifest.ts';
import {
  groupKindOf,
  isCustomResourceDefinition,
  isKept,
  isNamespace,
  type KubeObject,
  keyOf,
  listAt,
  type ObjectId,
  textAt,
} from './object.ts';

/**
 * Which of these deletions would take more with them than what was submitted, or are too many to be meant: they wait for a
 * confirmation. Answers each with the reason; none when all may go on.
 */
export async function findHeld(
  cluster: Cluster,
  doomed: readonly Item[],
  live: ReadonlyMap<string, KubeObject>,
  maxDeletions: number,
  signal: AbortSignal,
): Promise<Change[]> {
  if (doomed.length > maxDeletions) {
    const message = `one of ${doomed.length} deletions at once, more than ${maxDeletions}`;
    return doomed.map(({ id }) => ({ object: id, action: 'held', message }));
  }
  const keys = new Set(doomed.map(({ id }) => keyOf(id)));
  const reasons = await mapLimited(doomed, passConcurrency, async ({ id }) => {
    const found = live.get(keyOf(id));
    // Already on its way out: holding would not bring it back.
    if (!found || found.metadata.deletionTimestamp !== undefined) return undefined;
    if (losesData(id, found)) return 'its data would be lost';
    try {
      if (isCustomResourceDefinition(id)) return await instancesBeyond(cluster, found, keys, signal);
      return isNamespace(id) ? await contentBeyond(cluster, id.name, keys, signal) : undefined;
    } catch (error) {
      // What is not found here was named by the cluster a moment ago: not found does not mean that there is none.
      if (!(error instanceof ClusterError) || !(hasStatus(error, 403) || hasStatus(error, 404))) throw error;
      return `it cannot be seen what would go with it: ${error.message}`;
    }
  });
  return doomed.flatMap(({ id }, index) => {
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
  const found = await mapLimited(kinds, passConcurrency, async (kind) => {
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
  if (isKept(object)) return false;
  if (kind === '/ServiceAccount') return metadata.name === 'default';
  if (kind === '/ConfigMap') return metadata.name === 'kube-root-ca.crt';
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
