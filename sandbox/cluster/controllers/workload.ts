import { createHash } from 'node:crypto';
import { type Core, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import { type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt, valueAt } from '../core/object.ts';
import { removeObject } from '../write/remove.ts';
import { createObject, patchObject, writeStatus } from '../write/write.ts';
import { isNamespaceTerminating } from './namespace.ts';
import { behaviourOf, condition, podStatus } from './pod-status.ts';
import { setPods } from './pods.ts';

export interface WorkloadOptions {
  readonly readyDelayMs: number;
  readonly pods: boolean;
}

const MAX_PODS = 3;

/** Makes workloads, pods and claims ready after a delay, unless their behaviour says otherwise. */
export function runWorkloadControllers(core: Core, options: WorkloadOptions): void {
  const { store, schedule: later } = core;
  const apps = (name: string) => core.kinds.byKind('apps/v1', name)!;
  const kinds: ReadonlyMap<string, Kind> = new Map(
    [apps('Deployment'), apps('StatefulSet'), apps('DaemonSet'), apps('ReplicaSet')]
      .concat(core.kinds.byKind('batch/v1', 'Job')!, core.kinds.byKind('v1', 'PersistentVolumeClaim')!)
      .concat(core.kinds.byKind('v1', 'Pod')!)
      .map((kind) => [kind.resource, kind]),
  );
  const current = (kind: Kind, { metadata: { namespace, name, uid, generation } }: KubeObject) => {
    const found = store.get(kind.resource, namespace, name);
    const same = found?.metadata.uid === uid && found?.metadata.generation === generation;
    return found && same && !found.metadata.deletionTimestamp && !isNamespaceTerminating(core, namespace!)
      ? found
      : undefined;
  };
  const reportStatus = (kind: Kind, object: KubeObject, ready: boolean) => {
    const status = workloadStatus[kind.kind]?.(object, ready);
    if (status && withoutTimes(status) !== withoutTimes(objectAt(object, 'status')))
      writeStatus(core, kind, object, status);
  };
  const scheduleReady = (kind: Kind, seen: KubeObject) =>
    later(options.readyDelayMs, () => {
      const waiting = current(kind, seen);
      // A misbehaving pod reports its own final status; a workload of such pods never becomes ready.
      if (waiting) reportStatus(kind, waiting, kind.kind === 'Pod' || canBecomeReady(core, waiting));
    });
  const startProgress = (kind: Kind, seen: KubeObject) => {
    const found = current(kind, seen);
    if (!found) return;
    reportStatus(kind, found, false);
    if (options.pods) createChildren(core, kind, found);
    scheduleReady(kind, found);
  };
  const claims = core.kinds.byKind('v1', 'PersistentVolumeClaim')!;
  store.subscribe(({ resource, object, previous, deleted }) => {
    if (resource === '/pods' && !previous) for (const claim of claimsOf(core, object)) scheduleReady(claims, claim);
    const kind = kinds.get(resource);
    if (!kind || deleted || object.metadata.deletionTimestamp) return;
    if (previous && previous.metadata.generation === object.metadata.generation) return;
    later(1, () => startProgress(kind, object));
  });
  for (const [resource, object] of store.all()) if (kinds.has(resource)) scheduleReady(kinds.get(resource)!, object);
}

/** Returns whether the object becomes ready by itself: some pods do not, and some claims wait for their first pod. */
function canBecomeReady(core: Core, object: KubeObject): boolean {
  if (behaviourOf(object) !== 'healthy') return false;
  if (object.kind !== 'PersistentVolumeClaim') return true;
  const { namespace, name } = object.metadata;
  const storageClass = core.store.get(
    'storage.k8s.io/storageclasses',
    undefined,
    textAt(object, 'spec.storageClassName') ?? '',
  );
  if (!storageClass || textAt(storageClass, 'volumeBindingMode') !== 'WaitForFirstConsumer') return true;
  return core.store.list('/pods', namespace).some((pod) => claimNamesOf(pod).includes(name));
}

function claimsOf(core: Core, pod: KubeObject): KubeObject[] {
  const { namespace } = pod.metadata;
  return claimNamesOf(pod).flatMap((name) => core.store.get('/persistentvolumeclaims', namespace, name) ?? []);
}

function claimNamesOf(pod: KubeObject): string[] {
  return listAt(pod, 'spec.volumes').flatMap((volume) => textAt(volume, 'persistentVolumeClaim.claimName') ?? []);
}

/** Serialises a status without its times: a change of time alone is not written. */
function withoutTimes(status: JsonObject): string {
  return JSON.stringify(status, (key, value) => (/(Time|At)$/.test(key) ? undefined : value));
}

function createChildren(core: Core, kind: Kind, object: KubeObject): void {
  const replicas = Math.min(numberAt(object, 'spec.replicas') ?? 1, MAX_PODS);
  switch (kind.kind) {
    case 'Deployment':
      setReplicaSets(core, object);
      break;
    case 'StatefulSet':
    case 'ReplicaSet':
    case 'DaemonSet':
      setPods(core, object, replicas);
      break;
    case 'Job':
      setPods(core, object, 1);
      break;
  }
}

/** Keeps one ReplicaSet for each pod template; those of earlier templates are scaled down to zero. */
function setReplicaSets(core: Core, deployment: KubeObject): void {
  const { name, namespace, uid } = deployment.metadata;
  const kind = core.kinds.byKind('apps/v1', 'ReplicaSet')!;
  const template = objectAt(deployment, 'spec.template');
  const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
  const options = { manager: 'kube-controller-manager' };
  const desired = numberAt(deployment, 'spec.replicas') ?? 1;
  const scale = (set: KubeObject, replicas: number) => {
    const change = (liveObject: KubeObject) => ({ ...liveObject, spec: { ...objectAt(liveObject, 'spec'), replicas } });
    if (numberAt(set, 'spec.replicas') !== replicas)
      patchObject(core, kind, namespace, set.metadata.name, change, options);
  };
  const sets = core.store
    .list(kind.resource, namespace)
    .filter((set) => set.metadata.ownerReferences?.some((owner) => owner.uid === uid));
  for (const set of sets) scale(set, set.metadata.name === `${name}-${hash}` ? desired : 0);
  const old = sets.filter((set) => set.metadata.name !== `${name}-${hash}`);
  for (const set of old.slice(0, -(numberAt(deployment, 'spec.revisionHistoryLimit') ?? 10) || undefined))
    removeObject(core, kind, namespace, set.metadata.name);
  if (sets.length > old.length) return;
  const labels = { ...objectAt(template, 'metadata.labels'), 'pod-template-hash': hash };
  const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name, uid, controller: true, blockOwnerDeletion: true };
  const selector = { matchLabels: { ...objectAt(deployment, 'spec.selector.matchLabels'), 'pod-template-hash': hash } };
  const body = {
    metadata: { name: `${name}-${hash}`, labels, ownerReferences: [owner] },
    spec: {
      replicas: desired,
      selector,
      template: { ...template, metadata: { ...objectAt(template, 'metadata'), labels } },
    },
  };
  createObject(core, kind, body, namespace, options);
}

const workloadStatus: { readonly [kind: string]: (object: KubeObject, ready: boolean) => JsonObject } = {
  Deployment: (object, ready) => {
    const replicas = numberAt(object, 'spec.replicas') ?? 1;
    const available = condition('Available', ready, ready ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable');
    const progressing = condition('Progressing', true, ready ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated');
    return {
      observedGeneration: object.metadata.generation,
      replicas,
      updatedReplicas: replicas,
      ...(ready ? { readyReplicas: replicas, availableReplicas: replicas } : { unavailableReplicas: replicas }),
      conditions: [available, progressing],
    };
  },
  StatefulSet: (object, ready) => {
    const replicas = numberAt(object, 'spec.replicas') ?? 1;
    const { name, generation } = object.metadata;
    const ready_ = ready ? { readyReplicas: replicas, availableReplicas: replicas } : { availableReplicas: 0 };
    const revision = `${name}-${generation}`;
    return {
      observedGeneration: generation,
      replicas,
      currentReplicas: replicas,
      updatedReplicas: replicas,
      ...ready_,
      currentRevision: revision,
      updateRevision: revision,
    };
  },
  DaemonSet: (object, ready) => ({
    observedGeneration: object.metadata.generation,
    currentNumberScheduled: 1,
    desiredNumberScheduled: 1,
    updatedNumberScheduled: 1,
    numberMisscheduled: 0,
    numberReady: ready ? 1 : 0,
    ...(ready ? { numberAvailable: 1 } : { numberUnavailable: 1 }),
  }),
  ReplicaSet: (object, ready) => {
    const replicas = numberAt(object, 'spec.replicas') ?? 1;
    const counts = ready && replicas > 0 ? { readyReplicas: replicas, availableReplicas: replicas } : {};
    return { observedGeneration: object.metadata.generation, replicas, ...counts };
  },
  Job: (object, ready) => {
    const started = { startTime: textAt(object, 'status.startTime') ?? timestamp() };
    if (!ready || valueAt(object, 'spec.suspend') === true) return { ...started, active: 1, ready: 0 };
    const conditions = [
      condition('SuccessCriteriaMet', true, 'CompletionsReached'),
      condition('Complete', true, 'CompletionsReached'),
    ];
    return {
      ...started,
      completionTime: timestamp(),
      succeeded: numberAt(object, 'spec.completions') ?? 1,
      conditions,
    };
  },
  PersistentVolumeClaim: (object, ready) =>
    ready
      ? {
          phase: 'Bound',
          accessModes: valueAt(object, 'spec.accessModes'),
          capacity: valueAt(object, 'spec.resources.requests'),
        }
      : { phase: 'Pending' },
  Pod: podStatus,
};
