import { groupOf } from '../../contract/object-key.ts';
import { isRecord } from './object.ts';

/** A manifest without what only a live object has, and the paths of what was left out. */
export interface Cleaned {
  readonly object: Record<string, unknown>;
  readonly dropped: readonly string[];
}

/** Fields that the API server writes: it refuses or ignores them in what is applied. */
const liveMetadata = [
  'uid',
  'resourceVersion',
  'managedFields',
  'selfLink',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
];

/** Annotations that kubectl and controllers keep for themselves. */
const liveAnnotations = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'deployment.kubernetes.io/revision',
  'pv.kubernetes.io/bind-completed',
  'pv.kubernetes.io/bound-by-controller',
  'volume.kubernetes.io/storage-provisioner',
  'volume.beta.kubernetes.io/storage-provisioner',
  'volume.kubernetes.io/selected-node',
];

/** Fields that a cluster has chosen, and that mean nothing in another one; by kind, as Velero and kubectl-neat know them. */
const chosenByCluster: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Service: [['spec', 'healthCheckNodePort']],
  PersistentVolumeClaim: [['spec', 'volumeName']],
  Pod: [['spec', 'nodeName']],
  Namespace: [['spec', 'finalizers']],
  ServiceAccount: [['secrets']],
};

/** Labels by which a Job finds its pods, which the cluster makes anew for each Job. */
const jobLabels = ['controller-uid', 'batch.kubernetes.io/controller-uid'];

/**
 * Takes out of a manifest what belongs to a live object, as `kubectl get -o yaml` shows it. An object that was plainly exported (it has
 * a uid, a resourceVersion or managedFields) also loses what its cluster had chosen: addresses, node ports, the bound volume.
 */
export function withoutLiveFields(value: Record<string, unknown>): Cleaned {
  const dropped: string[] = [];
  const object: Record<string, unknown> = structuredCloneJson(value);
  const { metadata } = object;
  if (!isRecord(metadata)) return { object, dropped };
  const exported = ['uid', 'resourceVersion', 'managedFields'].some((field) => isSet(metadata[field]));
  const drop = (at: readonly string[]) => {
    const parent = at.slice(0, -1).reduce<unknown>((map, step) => (isRecord(map) ? map[step] : undefined), object);
    const last = at.at(-1) ?? '';
    if (!isRecord(parent) || !Object.hasOwn(parent, last)) return;
    if (isSet(parent[last])) dropped.push(at.join('.'));
    delete parent[last];
  };
  for (const field of liveMetadata) drop(['metadata', field]);
  for (const key of liveAnnotations) drop(['metadata', 'annotations', key]);
  if (isSet(metadata.name)) drop(['metadata', 'generateName']);
  if (exported || isBuiltIn(object.apiVersion)) drop(['status']);
  if (exported) dropChosen(object, drop, dropped);
  return { object, dropped };
}

function dropChosen(object: Record<string, unknown>, drop: (at: readonly string[]) => void, dropped: string[]): void {
  const { kind, spec } = object;
  for (const path of chosenByCluster[String(kind)] ?? []) drop(path);
  if (!isRecord(spec)) return;
  if (kind === 'Service') {
    if (spec.clusterIP !== 'None') for (const field of ['clusterIP', 'clusterIPs']) drop(['spec', field]);
    for (const [at, port] of Array.isArray(spec.ports) ? spec.ports.entries() : []) {
      if (!isRecord(port) || !isSet(port.nodePort)) continue;
      delete port.nodePort;
      dropped.push(`spec.ports.${at}.nodePort`);
    }
  }
  if (kind === 'Job' && spec.manualSelector !== true) {
    drop(['spec', 'selector']);
    for (const label of jobLabels) {
      drop(['metadata', 'labels', label]);
      drop(['spec', 'template', 'metadata', 'labels', label]);
    }
  }
}

/** Null, 0 and empty maps stand for nothing in what tools write, such as `creationTimestamp: null` and `status: {}`. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0) return false;
  return !isRecord(value) || Object.keys(value).length > 0;
}

/** Copies maps and lists, so that the caller's value stays as it is. */
function structuredCloneJson(value: Record<string, unknown>): Record<string, unknown> {
  return copy(value) as Record<string, unknown>;
}

function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (!isRecord(value) || 'rawJSON' in value) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(item)]));
}

/** Groups of Kubernetes itself, whose kinds all keep status apart. */
function isBuiltIn(apiVersion: unknown): boolean {
  const group = groupOf(String(apiVersion));
  return !group.includes('.') || group.endsWith('.k8s.io');
}
