import { createHash } from 'node:crypto';
import { timestamp } from '../core/core.ts';
import {
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  objectAt,
  textAt,
  valueAt,
} from '../core/object.ts';

/**
 * Annotation on a pod, or on a workload's template, that selects how its containers behave. Without it they run, or
 * complete when they belong to a Job.
 */
export const BEHAVIOUR = 'sandbox.brokkr.io/behaviour';

/**
 * The behaviour of containers: those that are `unpullable` have an image that no registry has, `crashing` ones exit again and
 * again.
 */
export type Behaviour = 'healthy' | 'unpullable' | 'crashing' | 'not-ready';

/** Returns the behaviour of a pod, or of the pods that a workload creates. */
export function behaviourOf(object: JsonObject): Behaviour {
  const pod = isObject(valueAt(object, 'spec.template')) ? objectAt(object, 'spec.template') : object;
  const asked = objectAt(pod, 'metadata.annotations')[BEHAVIOUR];
  if (asked === 'crashing' || asked === 'not-ready') return asked;
  const containers = [...listAt(pod, 'spec.initContainers'), ...listAt(pod, 'spec.containers')];
  const isMissing = (container: Json) => /:does-not-exist$|imagepullbackoff/.test(textAt(container, 'image') ?? '');
  return containers.some(isMissing) ? 'unpullable' : 'healthy';
}

/** Returns the status of a scheduled pod: while it starts, or once `settled`. */
export function podStatus(pod: KubeObject, settled: boolean): JsonObject {
  const behaviour = behaviourOf(pod);
  const isJob = pod.metadata.ownerReferences?.some(({ kind }) => kind === 'Job') ?? false;
  const runs = settled && behaviour !== 'unpullable';
  const isDone = settled && behaviour === 'healthy' && isJob;
  const hasFailed = settled && behaviour === 'crashing' && valueAt(pod, 'spec.restartPolicy') === 'Never';
  const isReady = settled && behaviour === 'healthy' && !isDone;
  const octets = createHash('sha256')
    .update(pod.metadata.uid ?? '')
    .digest();
  const why = isReady ? undefined : isDone ? 'PodCompleted' : 'ContainersNotReady';
  return {
    phase: isDone ? 'Succeeded' : hasFailed ? 'Failed' : runs ? 'Running' : 'Pending',
    conditions: [
      condition('PodScheduled', true, undefined),
      condition('Initialized', true, isDone ? 'PodCompleted' : undefined),
      condition('ContainersReady', isReady, why),
      condition('Ready', isReady, why),
    ],
    podIP: runs ? `10.244.${octets[0]}.${octets[1]}` : undefined,
    startTime: textAt(pod, 'status.startTime') ?? timestamp(),
    containerStatuses: listAt(pod, 'spec.containers').map((container) => ({
      name: valueAt(container, 'name'),
      image: valueAt(container, 'image'),
      imageID: '',
      ready: isReady,
      started: runs && behaviour !== 'crashing',
      ...containerState(behaviour, { settled, isDone, hasFailed }),
    })),
  };
}

interface PodProgress {
  readonly settled: boolean;
  readonly isDone: boolean;
  readonly hasFailed: boolean;
}

function containerState(behaviour: Behaviour, { settled, isDone, hasFailed }: PodProgress): JsonObject {
  const now = timestamp();
  const ended = (exitCode: number) => ({
    terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt: now, finishedAt: now },
  });
  const waiting = (reason: string, message?: string) => ({ waiting: { reason, message } });
  if (isDone) return { restartCount: 0, state: ended(0) };
  if (hasFailed) return { restartCount: 0, state: ended(1) };
  if (!settled && behaviour !== 'unpullable') return { restartCount: 0, state: waiting('ContainerCreating') };
  switch (behaviour) {
    case 'unpullable':
      return { restartCount: 0, state: waiting('ImagePullBackOff', 'Back-off pulling image') };
    case 'crashing':
      return { restartCount: 5, state: waiting('CrashLoopBackOff', 'back-off restarting'), lastState: ended(1) };
    case 'healthy':
    case 'not-ready':
      return { restartCount: 0, state: { running: { startedAt: now } } };
  }
}

/** Builds a status condition. */
export function condition(type: string, holds: boolean, reason: string | undefined): JsonObject {
  return {
    type,
    status: holds ? 'True' : 'False',
    reason,
    lastTransitionTime: timestamp(),
    lastUpdateTime: timestamp(),
  };
}
