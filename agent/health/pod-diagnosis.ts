import type { Cluster } from '../kube/cluster.ts';
import { newestFirst, toEvent } from '../object/event.ts';
import { type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';
import { selectorOf } from '../object/label-selector.ts';
import { words } from './conditions.ts';
import { healthOf } from './evaluate.ts';
import type { Verdict } from './status.ts';

/** "apiVersion/Kind" of what others tell more about than it does itself. */
const explained: ReadonlySet<string> = new Set([
  'apps/v1/Deployment',
  'apps/v1/StatefulSet',
  'apps/v1/DaemonSet',
  'apps/v1/ReplicaSet',
  'batch/v1/Job',
  'v1/PersistentVolumeClaim',
]);
/** Of one workload: enough to find a reason. */
const maxPods = 200;

export function hasDetail({ apiVersion, kind }: ObjectId): boolean {
  return explained.has(`${apiVersion}/${kind}`);
}

/**
 * Why an object is not healthy, from the pods that it owns and from what was said about them: "1 of 3 replicas ready; pod web-x:
 * ImagePullBackOff: …". Undefined when it is healthy or gone. Asks the cluster only for what belongs to this one object.
 */
export async function explainHealth(cluster: Cluster, id: ObjectId, signal: AbortSignal): Promise<Verdict | undefined> {
  const object = await cluster.get(id, signal);
  const verdict = object && healthOf(object);
  if (!object || !verdict || verdict.health === 'healthy') return undefined;
  if (id.kind === 'PersistentVolumeClaim') return withMore(verdict, await lastWarning(cluster, object, signal));
  const labelSelector = selectorOf(object);
  if (labelSelector === undefined) return verdict;
  const owners = new Set([object.metadata.uid]);
  const selection = { namespace: id.namespace, labelSelector, limit: maxPods };
  if (id.kind === 'Deployment') {
    const sets = await cluster.list({ apiVersion: 'apps/v1', kind: 'ReplicaSet' }, selection, signal);
    for (const set of sets) if (isOwnedBy(set, owners)) owners.add(set.metadata.uid);
  }
  const pods = await cluster.list({ apiVersion: 'v1', kind: 'Pod' }, selection, signal);
  const ill = pods
    .filter((pod) => isOwnedBy(pod, owners))
    .map((pod) => ({ pod, ...healthOf(pod) }))
    .filter(({ health }) => health !== 'healthy')
    .sort((left, right) => Number(right.health === 'failed') - Number(left.health === 'failed'));
  const [worst] = ill;
  if (!worst) return withMore(verdict, await lastWarning(cluster, object, signal));
  const silent = worst.health === 'progressing' && textAt(worst.pod, 'status', 'phase') === 'Pending';
  const warning = silent ? await lastWarning(cluster, worst.pod, signal) : undefined;
  const message = `${verdict.message}; pod ${worst.pod.metadata.name}: ${words(worst.message, warning)}`;
  // Its pods will not come by themselves; what works already makes it no more than degraded.
  const health = worst.health === 'failed' && verdict.health === 'progressing' ? 'failed' : verdict.health;
  return { health, message };
}

/** The last thing that went wrong with an object, by its events. */
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
  return latest && words(latest.reason, latest.message);
}

function withMore(verdict: Verdict, more: string | undefined): Verdict {
  return more ? { ...verdict, message: `${verdict.message}; ${more}` } : verdict;
}

function isOwnedBy({ metadata }: KubeObject, uids: ReadonlySet<unknown>): boolean {
  return (metadata.ownerReferences ?? []).some(({ uid }) => uids.has(uid));
}
