import type { Cluster } from '../kube/cluster.ts';
import { newestFirst, toEvent } from '../object/event.ts';
import { type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';
import { selectorOf } from '../object/label-selector.ts';
import { withReason } from './conditions.ts';
import { healthOf } from './evaluate.ts';
import type { Verdict } from './status.ts';

/** Kinds, as "apiVersion/Kind", whose pods or events say more than the object's own status. */
const explainedKinds: ReadonlySet<string> = new Set([
  'apps/v1/Deployment',
  'apps/v1/StatefulSet',
  'apps/v1/DaemonSet',
  'apps/v1/ReplicaSet',
  'batch/v1/Job',
  'v1/PersistentVolumeClaim',
]);
/** Maximum number of pods that are read of one workload: enough to find a reason. */
const maxPods = 200;

/** Returns whether `explainHealth` may find more than the object's own status says. */
export function hasDetail({ apiVersion, kind }: ObjectId): boolean {
  return explainedKinds.has(`${apiVersion}/${kind}`);
}

/**
 * Explains why an object is not healthy, from its pods and their events: "1 of 3 replicas ready; pod web-x: ImagePullBackOff: …".
 * Resolves to undefined when the object is healthy or gone. Reads only what belongs to this object.
 */
export async function explainHealth(cluster: Cluster, id: ObjectId, signal: AbortSignal): Promise<Verdict | undefined> {
  const object = await cluster.get(id, signal);
  const verdict = object && healthOf(object);
  if (!object || !verdict || verdict.health === 'healthy') return undefined;
  if (id.kind === 'PersistentVolumeClaim') return withDetail(verdict, await lastWarning(cluster, object, signal));
  const labelSelector = selectorOf(object);
  if (labelSelector === undefined) return verdict;
  const owners = new Set([object.metadata.uid]);
  const selection = { namespace: id.namespace, labelSelector, limit: maxPods };
  if (id.kind === 'Deployment') {
    const sets = await cluster.list({ apiVersion: 'apps/v1', kind: 'ReplicaSet' }, selection, signal);
    for (const set of sets) if (isOwnedBy(set, owners)) owners.add(set.metadata.uid);
  }
  const pods = await cluster.list({ apiVersion: 'v1', kind: 'Pod' }, selection, signal);
  const unhealthy = pods
    .filter((pod) => isOwnedBy(pod, owners))
    .map((pod) => ({ pod, ...healthOf(pod) }))
    .filter(({ health }) => health !== 'healthy')
    .sort((left, right) => Number(right.health === 'failed') - Number(left.health === 'failed'));
  const [worst] = unhealthy;
  if (!worst) return withDetail(verdict, await lastWarning(cluster, object, signal));
  const hasNoReason = worst.health === 'progressing' && textAt(worst.pod, 'status', 'phase') === 'Pending';
  const warning = hasNoReason ? await lastWarning(cluster, worst.pod, signal) : undefined;
  const message = `${verdict.message}; pod ${worst.pod.metadata.name}: ${withReason(worst.message, warning)}`;
  // A failed pod does not recover by itself. A workload with working replicas stays degraded rather than failed.
  const health = worst.health === 'failed' && verdict.health === 'progressing' ? 'failed' : verdict.health;
  return { health, message };
}

/** Returns the latest warning event about an object. */
async function lastWarning(cluster: Cluster, object: KubeObject, signal: AbortSignal): Promise<string | undefined> {
  const { uid = '', namespace = '' } = object.metadata;
  const fieldSelector = `involvedObject.uid=${uid},type=Warning`;
  const events = await cluster.list(
    { apiVersion: 'v1', kind: 'Event' },
    { namespace, fieldSelector, limit: 50 },
    signal,
  );
  const [latest] = events
    .filter((event) => textAt(event, 'involvedObject', 'uid') === uid)
    .map(toEvent)
    .filter(({ type }) => type === 'Warning')
    .sort(newestFirst);
  return latest && withReason(latest.reason, latest.message);
}

function withDetail(verdict: Verdict, detail: string | undefined): Verdict {
  return detail ? { ...verdict, message: `${verdict.message}; ${detail}` } : verdict;
}

function isOwnedBy({ metadata }: KubeObject, uids: ReadonlySet<unknown>): boolean {
  return (metadata.ownerReferences ?? []).some(({ uid }) => uids.has(uid));
}
