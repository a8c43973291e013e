import { type KubeObject, kindName, listAt, textAt } from '../object/kube-object.ts';
import {
  conditionOf,
  degraded,
  failed,
  healthy,
  isFalse,
  isTrue,
  progressing,
  unobserved,
  withReason,
} from './conditions.ts';
import { healthOfCustom } from './custom.ts';
import { healthOfPod } from './pod.ts';
import type { Verdict } from './status.ts';
import { describeTerminatingObject } from './terminating.ts';
import { daemonSet, deployment, job, replicaSet, statefulSet } from './workloads.ts';

/** Evaluates an object's health from the object alone: by the rules of its kind, or by the conventions for custom resources. */
export function healthOf(object: KubeObject): Verdict {
  if (object.metadata.deletionTimestamp !== undefined) return progressing(describeTerminatingObject(object));
  const rule = rules[kindName(object)];
  if (rule) return rule(object);
  return unobserved(object) ?? healthOfCustom(object);
}

const alwaysHealthy = () => healthy;

/** Rules by `kindName`. Objects of other kinds are evaluated by their conditions, and are healthy without any. */
const rules: Readonly<Record<string, (object: KubeObject) => Verdict>> = {
  'apps/Deployment': (object) => unobserved(object, { isRequired: true }) ?? deployment(object),
  'apps/StatefulSet': (object) => unobserved(object, { isRequired: true }) ?? statefulSet(object),
  'apps/DaemonSet': (object) => unobserved(object, { isRequired: true }) ?? daemonSet(object),
  'apps/ReplicaSet': (object) => unobserved(object, { isRequired: true }) ?? replicaSet(object),
  ReplicationController: (object) => unobserved(object, { isRequired: true }) ?? replicaSet(object),
  'batch/Job': job,
  // The outcome of the jobs that it creates is their own health.
  'batch/CronJob': alwaysHealthy,
  Pod: healthOfPod,
  PersistentVolumeClaim: claim,
  PersistentVolume: volume,
  Namespace: namespace,
  Service: service,
  // An address in the status proves nothing, because many ingress controllers never write one.
  'networking.k8s.io/Ingress': alwaysHealthy,
  'autoscaling/HorizontalPodAutoscaler': autoscaler,
  'policy/PodDisruptionBudget': (object) => unobserved(object, { isRequired: true }) ?? disruptionBudget(object),
  'apiregistration.k8s.io/APIService': apiService,
  'apiextensions.k8s.io/CustomResourceDefinition': definition,
};

function claim(object: KubeObject): Verdict {
  switch (textAt(object, 'status', 'phase')) {
    case 'Bound':
      return healthy;
    case 'Lost':
      return failed('its volume is lost');
    default:
      return progressing('it is not bound to a volume yet');
  }
}

function volume(object: KubeObject): Verdict {
  const phase = textAt(object, 'status', 'phase');
  return phase === 'Failed'
    ? failed(withReason('its reclamation failed', textAt(object, 'status', 'message')))
    : phase === 'Pending'
      ? progressing('it is not available yet')
      : healthy;
}

function namespace(object: KubeObject): Verdict {
  const phase = textAt(object, 'status', 'phase');
  return phase === undefined || phase === 'Active' ? healthy : progressing(`it is ${phase}`);
}

function service(object: KubeObject): Verdict {
  if (textAt(object, 'spec', 'type') !== 'LoadBalancer') return healthy;
  return listAt(object, 'status', 'loadBalancer', 'ingress').length > 0
    ? healthy
    : progressing('its load balancer has no address yet');
}

function autoscaler(object: KubeObject): Verdict {
  const able = conditionOf(object, 'AbleToScale');
  if (isFalse(able)) return degraded(withReason('it cannot scale', able?.message));
  const active = conditionOf(object, 'ScalingActive');
  // With its target at 0 replicas, it is switched off on purpose.
  if (isFalse(active) && active?.reason !== 'ScalingDisabled')
    return degraded(withReason('it does not scale', active?.message));
  return healthy;
}

/** A budget is healthy once it was computed, whatever it allows: how the pods are is their own health. */
function disruptionBudget(object: KubeObject): Verdict {
  const allowed = conditionOf(object, 'DisruptionAllowed');
  return isFalse(allowed) && allowed?.reason === 'SyncFailed'
    ? degraded(withReason('it cannot be computed', allowed.message))
    : healthy;
}

function apiService(object: KubeObject): Verdict {
  const available = conditionOf(object, 'Available');
  if (isTrue(available)) return healthy;
  return isFalse(available)
    ? degraded(withReason('it is not available', available?.message))
    : progressing('not asked yet');
}

function definition(object: KubeObject): Verdict {
  const names = conditionOf(object, 'NamesAccepted');
  if (isFalse(names)) return failed(withReason('its names are refused', names?.message));
  const established = conditionOf(object, 'Established');
  return isTrue(established) ? healthy : progressing(withReason('it is not established yet', established?.message));
}
