import { at, type KubeObject, textAt } from '../object/kube-object.ts';
import { conditionOf, count, degraded, failed, healthy, isFalse, isTrue, progressing, words } from './conditions.ts';
import type { Verdict } from './status.ts';

export function deployment(object: KubeObject): Verdict {
  const wanted = replicasOf(object);
  const stuck = conditionOf(object, 'Progressing');
  const ready = count(object, 'status', 'availableReplicas');
  const readiness = `${ready} of ${wanted} replicas ready`;
  if (isFalse(stuck) && stuck?.reason === 'ProgressDeadlineExceeded')
    return failed(words(readiness, stuck.message || 'it made no progress in time'));
  const refused = conditionOf(object, 'ReplicaFailure');
  if (isTrue(refused)) return failed(words(readiness, refused?.message));
  const updated = count(object, 'status', 'updatedReplicas');
  if (updated < wanted) return progressing(`${updated} of ${wanted} replicas updated, ${ready} ready`);
  const old = count(object, 'status', 'replicas') - updated;
  if (old > 0) return progressing(`${old} replicas of the old revision are still there`);
  if (ready >= wanted) return healthy;
  // Once rolled out, it has lost replicas; before, they are on their way.
  const isRolledOut = stuck?.reason === 'NewReplicaSetAvailable';
  return isRolledOut && ready > 0 ? degraded(readiness) : progressing(readiness);
}

export function statefulSet(object: KubeObject): Verdict {
  const wanted = replicasOf(object);
  const ready = count(object, 'status', 'readyReplicas');
  const readiness = `${ready} of ${wanted} replicas ready`;
  const current = textAt(object, 'status', 'currentRevision');
  const update = textAt(object, 'status', 'updateRevision');
  const partition = count(object, 'spec', 'updateStrategy', 'rollingUpdate', 'partition');
  const byHand = textAt(object, 'spec', 'updateStrategy', 'type') === 'OnDelete';
  const isUpdating = !byHand && current !== update;
  const updated = count(object, 'status', 'updatedReplicas');
  const toUpdate = Math.max(0, wanted - partition);
  if (count(object, 'status', 'replicas') < wanted) return progressing(readiness);
  if (isUpdating && updated < toUpdate)
    return progressing(`${updated} of ${toUpdate} replicas updated, ${ready} ready`);
  if (ready >= wanted) return healthy;
  return !isUpdating && ready > 0 ? degraded(readiness) : progressing(readiness);
}

export function daemonSet(object: KubeObject): Verdict {
  const wanted = count(object, 'status', 'desiredNumberScheduled');
  const ready = count(object, 'status', 'numberReady');
  const available = count(object, 'status', 'numberAvailable');
  const byHand = textAt(object, 'spec', 'updateStrategy', 'type') === 'OnDelete';
  const updated = count(object, 'status', 'updatedNumberScheduled');
  if (!byHand && updated < wanted) return progressing(`${updated} of ${wanted} pods updated, ${ready} ready`);
  if (available >= wanted) return healthy;
  const readiness = `ready on ${Math.min(ready, available)} of ${wanted} nodes`;
  return available > 0 ? degraded(readiness) : progressing(readiness);
}

export function replicaSet(object: KubeObject): Verdict {
  const wanted = replicasOf(object);
  const ready = count(object, 'status', 'availableReplicas');
  const readiness = `${ready} of ${wanted} replicas ready`;
  const refused = conditionOf(object, 'ReplicaFailure');
  if (isTrue(refused)) return failed(words(readiness, refused?.message));
  return ready >= wanted ? healthy : progressing(readiness);
}

/** A job is there to end: until then it is on its way. */
export function job(object: KubeObject): Verdict {
  const lost = conditionOf(object, 'Failed');
  if (isTrue(lost)) return failed(words('it failed', lost?.message || lost?.reason));
  if (isTrue(conditionOf(object, 'Complete'))) return healthy;
  if (at(object, 'spec', 'suspend') === true) return healthy;
  const done = count(object, 'status', 'succeeded');
  const losses = count(object, 'status', 'failed');
  const wanted = at(object, 'spec', 'completions') ?? 1;
  return progressing(`${done} of ${wanted} completions${losses > 0 ? `; ${losses} pods failed` : ''}`);
}

function replicasOf(object: KubeObject): number {
  const replicas = at(object, 'spec', 'replicas');
  return typeof replicas === 'number' ? replicas : 1;
}
