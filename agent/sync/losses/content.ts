import { mapConcurrent } from '../../concurrency/semaphore.ts';
import { hasStatus } from '../../kube/api-error.ts';
import type { Cluster } from '../../kube/cluster.ts';
import type { Resource } from '../../kube/discovery.ts';
import { passConcurrency } from '../../kube/read-objects.ts';
import { servedVersions } from '../../manifest/parse.ts';
import {
  displayName,
  groupKindOf,
  isPruneDisabled,
  type KindId,
  type KubeObject,
  keyOf,
  type ObjectId,
  objectIdOf,
  textAt,
} from '../../object/kube-object.ts';
import { isEphemeralVolumeClaim } from '../volume-claims.ts';
import { type Deleted, type Loss, lookAgain, unseen } from './loss.ts';

/** Returns what goes with a definition: instances that are not deleted with it. */
export async function otherInstances(
  cluster: Cluster,
  definition: KubeObject,
  deleted: Deleted,
  signal: AbortSignal,
): Promise<Loss | undefined> {
  const [kind] = servedVersions(definition);
  if (!kind) return { kind: 'held', reason: unseen('none of its versions is served') };
  const result = await lookAgain(async () => {
    // The cached discovery may still describe an earlier definition of the kind.
    cluster.discovery.forget(kind.apiVersion);
    try {
      return await findOther(cluster, kind, '', deleted, () => false, signal);
    } catch (error) {
      if (hasStatus(error, 404) && (await isGone(cluster, definition, signal))) return undefined;
      throw error;
    }
  }, signal);
  if ('refusal' in result) return { kind: 'held', reason: unseen(result.refusal.message) };
  return describe(result.found, ({ id }) => {
    const name = `${id.namespace === '' ? '' : `${id.namespace}/`}${id.name}`;
    return `there are ${kind.kind} objects that would go with it, such as ${name}`;
  });
}

/** Returns what goes with a namespace: objects in it that are not deleted with the stack. */
export async function otherContent(
  cluster: Cluster,
  namespace: string,
  deleted: Deleted,
  signal: AbortSignal,
): Promise<Loss | undefined> {
  const { kinds: all, unreadable } = await cluster.discovery.namespacedKinds(signal);
  const kinds = all.filter((kind) => !derivedKinds.has(groupKindOf(kind)));
  const ownerKinds = new Set(all.map(groupKindOf));
  const losses = await mapConcurrent(kinds, passConcurrency, (kind) =>
    contentOf(cluster, kind, namespace, deleted, ownerKinds, signal),
  );
  const [silent] = unreadable.filter(({ apiVersion }) => !deleted.apis.has(apiVersion));
  const found = losses.flatMap((loss) => loss ?? []);
  const held = found.find(({ kind }) => kind === 'held');
  if (held) return held;
  return silent ? { kind: 'held', reason: unseen(silent.message) } : found[0];
}

async function contentOf(
  cluster: Cluster,
  kind: Resource,
  namespace: string,
  deleted: Deleted,
  ownerKinds: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Loss | undefined> {
  const groupKind = groupKindOf(kind);
  const result = await lookAgain(async () => {
    try {
      const isLeftOut = (object: KubeObject) => isExpendable(groupKind, object, ownerKinds);
      return await findOther(cluster, kind, namespace, deleted, isLeftOut, signal);
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      // The kind was listed a moment ago. When its definition is gone since, so are its objects.
      cluster.discovery.forget(kind.apiVersion);
      if (await cluster.discovery.findAnyVersion(kind.apiVersion, kind.kind, signal)) throw error;
      return undefined;
    }
  }, signal);
  if ('refusal' in result) {
    const { refusal } = result;
    if (refusal.status >= 500 && deleted.apis.has(kind.apiVersion)) return undefined;
    return { kind: 'held', reason: unseen(`${kind.kind} of ${kind.apiVersion}: ${refusal.message}`) };
  }
  return describe(
    result.found,
    ({ id }) => `there are other objects in it that would go with it, such as ${id.kind} ${id.name}`,
  );
}

/** An object that would go with another; `stack` is the one that is being removed and has it. */
interface OtherObject {
  readonly id: ObjectId;
  readonly stack: string | undefined;
}

/** Finds an object that goes along, preferably one that no other removal takes away. Terminating objects do not count. */
async function findOther(
  cluster: Cluster,
  kind: KindId,
  namespace: string,
  deleted: Deleted,
  isLeftOut: (object: KubeObject) => boolean,
  signal: AbortSignal,
): Promise<OtherObject | undefined> {
  let awaited: OtherObject | undefined;
  for await (const { objects } of cluster.listVersioned(kind, { namespace, metadataOnly: true }, signal)) {
    for (const object of objects) {
      const { apiVersion } = kind;
      const id = { ...objectIdOf(object), apiVersion, kind: kind.kind };
      if (deleted.keys.has(keyOf(id)) || object.metadata.deletionTimestamp !== undefined || isLeftOut(object)) continue;
      const other = { id, stack: deleted.removedWith(keyOf(id)) };
      if (other.stack === undefined) return other;
      awaited = other;
    }
  }
  return awaited;
}

function describe(other: OtherObject | undefined, reasonOf: (other: OtherObject) => string): Loss | undefined {
  if (!other) return undefined;
  if (other.stack === undefined) return { kind: 'held', reason: reasonOf(other) };
  return {
    kind: 'awaited',
    reason: `waits for the removal of ${other.stack}, which has ${displayName(other.id)}`,
  };
}

async function isGone(cluster: Cluster, definition: KubeObject, signal: AbortSignal): Promise<boolean> {
  const live = await cluster.get(objectIdOf(definition), signal);
  return live?.metadata.uid !== definition.metadata.uid || textAt(live, 'metadata', 'deletionTimestamp') !== undefined;
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
