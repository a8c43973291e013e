import { hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { groupKindOf, isRecord, type KubeObject, type ObjectId, textAt, valueAt } from '../object/kube-object.ts';
import type { Verdict } from './status.ts';

/** An object that is not healthy, and the object itself unless it is gone. */
export interface UnhealthyObject extends Verdict {
  readonly id: ObjectId;
  readonly object: KubeObject | undefined;
}

/** The objects of a stack that are applied already, and those that are not. */
export interface AppliedSoFar {
  readonly begun: readonly KubeObject[];
  readonly later: readonly KubeObject[];
}

/** Objects whose health is for people: what they need may come with a later wave, and nothing needs them to be healthy. */
const neverHolding: ReadonlySet<string> = new Set([
  'policy/PodDisruptionBudget',
  'autoscaling/HorizontalPodAutoscaler',
]);

/**
 * Returns the objects that others have to wait for. Left out are those that cannot become healthy before others are applied: a claim
 * that is bound with its first pod, a load balancer or an API without the pods behind it, a budget, an autoscaler. What has failed
 * always counts.
 */
export async function findHolding(
  cluster: Cluster,
  unhealthy: readonly UnhealthyObject[],
  objects: AppliedSoFar,
  signal: AbortSignal,
): Promise<UnhealthyObject[]> {
  const holding = await Promise.all(unhealthy.map((each) => isHolding(cluster, each, objects, signal)));
  return unhealthy.filter((_, index) => holding[index]);
}

async function isHolding(
  cluster: Cluster,
  { id, object, health }: UnhealthyObject,
  objects: AppliedSoFar,
  signal: AbortSignal,
): Promise<boolean> {
  if (!object || health === 'failed' || object.metadata.deletionTimestamp !== undefined) return true;
  const groupKind = groupKindOf(id);
  if (neverHolding.has(groupKind)) return false;
  switch (groupKind) {
    case '/PersistentVolumeClaim':
      return !(await waitsForConsumer(cluster, object, signal));
    case '/Service':
      return hasPods(object, objects.begun);
    case 'apiregistration.k8s.io/APIService':
      return hasBackend(object, objects);
    default:
      return true;
  }
}

/** Returns whether the claim is bound with its first pod. A class that cannot be read says no. */
async function waitsForConsumer(cluster: Cluster, claim: KubeObject, signal: AbortSignal): Promise<boolean> {
  const { annotations = {} } = claim.metadata;
  const name = textAt(claim, 'spec', 'storageClassName') ?? annotations['volume.beta.kubernetes.io/storage-class'];
  if (!name || annotations['volume.kubernetes.io/selected-node'] !== undefined) return false;
  const id = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', namespace: '', name };
  try {
    return textAt(await cluster.get(id, signal), 'volumeBindingMode') === 'WaitForFirstConsumer';
  } catch (error) {
    if (!hasStatus(error, 403)) throw error;
    // An agent that may not read classes cannot tell, and the pods of later waves wait for their claims anyway.
    return true;
  }
}

/** Returns whether something is applied whose pods the Service selects; one that selects nothing gets its address without pods. */
function hasPods(service: KubeObject, begun: readonly KubeObject[]): boolean {
  const selector = valueAt(service, 'spec', 'selector');
  if (!isRecord(selector) || Object.keys(selector).length === 0) return true;
  const isSelected = (labels: unknown) =>
    Object.entries(selector).every(([name, value]) => valueAt(labels, name) === value);
  return begun.some(
    (object) =>
      object.metadata.namespace === service.metadata.namespace &&
      (isSelected(valueAt(object, 'spec', 'template', 'metadata', 'labels')) ||
        (groupKindOf(object) === '/Pod' && isSelected(object.metadata.labels))),
  );
}

/** Returns whether what serves the API may be there: its Service belongs to nobody here, or is applied and has pods. */
function hasBackend(apiService: KubeObject, { begun, later }: AppliedSoFar): boolean {
  const isBackend = (object: KubeObject) =>
    groupKindOf(object) === '/Service' &&
    object.metadata.name === textAt(apiService, 'spec', 'service', 'name') &&
    object.metadata.namespace === textAt(apiService, 'spec', 'service', 'namespace');
  const service = begun.find(isBackend);
  return service ? hasPods(service, begun) : !later.some(isBackend);
}
