import { at, type KubeObject, textAt } from '../object/kube-object.ts';
import {
  conditionOf,
  countAt,
  degraded,
  failed,
  healthy,
  isFalse,
  isTrue,
  progressing,
  withReason,
} from './conditions.ts';
import type { Verdict } from './status.ts';

export function deployment(object: KubeObject): Verdict {
  const desired = replicasOf(object);
  const progress = conditionOf(object, 'Progressing');
  const ready = countAt(object, 'status', 'availableReplicas');
  const readiness = `${ready} of ${desired} replicas ready`;
  if (isFalse(progress) && progress?.reason === 'ProgressDeadlineExceeded')
    return failed(withReason(readiness, progress.message || 'it made no progress in time'));
  const refused = conditionOf(object, 'ReplicaFailure');
  if (isTrue(refused)) return failed(withReason(readiness, refused?.message));
  const updated = countAt(object, 'status', 'updatedReplicas');
  if (updated < desired) return progressing(`${updated} of ${desired} replicas updated, ${ready} ready`);
  const outdated = countAt(object, 'status', 'replicas') - updated;
  if (outdated > 0) return progressing(`${outdated} replicas of the old revision are still there`);
  if (ready >= desired) return healthy;
  // After the rollout missing replicas were lost; during it they are still being started.
  const isRolledOut = progress?.reason === 'NewReplicaSetAvailable';
  return isRolledOut && ready > 0 ? degraded(readiness) : progressing(readiness);
}

export function statefulSet(object: KubeObject): Verdict {
  const desired = replicasOf(object);
  const ready = countAt(object, 'status', 'readyReplicas');
  const readiness = `${ready} of ${desired} replicas ready`;
  const current = textAt(object, 'status', 'currentRevision');
  const update = textAt(object, 'status', 'updateRevision');
  const partition = countAt(object, 'spec', 'updateStrategy', 'rollingUpdate', 'partition');
  const isManual = textAt(object, 'spec', 'updateStrategy', 'type') === 'OnDelete';
  const isUpdating = !isManual && current !== update;
  const updated = countAt(object, 'status', 'updatedReplicas');
  const toUpdate = Math.max(0, desired - partition);
  if (countAt(object, 'status', 'replicas') < desired) return progressing(readiness);
  if (isUpdating && updated < toUpdate)
    return progressing(`${updated} of ${toUpdate} replicas updated, ${ready} ready`);
  if (ready >= desired) return healthy;
  return !isUpdating && ready > 0 ? degraded(readiness) : progressing(readiness);
}

export function daemonSet(object: KubeObject): Verdict {
  const desired = countAt(object, 'status', 'desiredNumberScheduled');
  const ready = countAt(object, 'status', 'numberReady');
  const available = countAt(object, 'status', 'numberAvailable');
  const isManual = textAt(object, 'spec', 'updateStrategy', 'type') === 'OnDelete';
  const updated = countAt(object, 'status', 'updatedNumberScheduled');
  if (!isManual && updated < desired) return progressing(`${updated} of ${desired} pods updated, ${ready} ready`);
  if (available >= desired) return healthy;
  const readiness = `ready on ${Math.min(ready, available)} of ${desired} nodes`;
  return available > 0 ? degraded(readiness) : progressing(readiness);
}

export function replicaSet(object: KubeObject): Verdict {
  const desired = replicasOf(object);
  const ready = countAt(object, 'status', 'availableReplicas');
  const readiness = `${ready} of ${desired} replicas ready`;
  const refused = conditionOf(object, 'ReplicaFailure');
  if (isTrue(refused)) return failed(withReason(readiness, refused?.message));
  return ready >= desired ? healthy : progressing(readiness);
}

/** A job is healthy once it has completed, and progressing until then. */
export function job(object: KubeObject): Verdict {
  const failure = conditionOf(object, 'Failed');
  if (isTrue(failure)) return failed(withReason('it failed', failure?.message || failure?.reason));
  if (isTrue(conditionOf(object, 'Complete'))) return healthy;
  if (at(object, 'spec', 'suspend') === true) return healthy;
  const succeeded = countAt(object, 'status', 'succeeded');
  const failures = countAt(object, 'status', 'failed');
  const completions = at(object, 'spec', 'completions') ?? 1;
  return progressing(`${succeeded} of ${completions} completions${failures > 0 ? `; ${failures} pods failed` : ''}`);
}

function replicasOf(object: KubeObject): number {
  const replicas = at(object, 'spec', 'replicas');
  return typeof replicas === 'number' ? replicas : 1;
}
