import { isRawInteger } from '../../contract/exact-json.ts';
import { groupOf } from '../../contract/object-key.ts';
import { isRecord } from './object.ts';

/** A manifest without the fields of a live object, and the paths of the fields that were left out. */
export interface Cleaned {
  readonly object: Record<string, unknown>;
  readonly dropped: readonly string[];
}

/** Metadata that the API server sets; it refuses or ignores these fields in an apply request. */
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

/** Annotations that kubectl and controllers manage themselves. */
const liveAnnotations = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'deployment.kubernetes.io/revision',
  'pv.kubernetes.io/bind-completed',
  'pv.kubernetes.io/bound-by-controller',
  'volume.kubernetes.io/storage-provisioner',
  'volume.beta.kubernetes.io/storage-provisioner',
  'volume.kubernetes.io/selected-node',
];

/** Fields, by kind, whose values a cluster assigns and that mean nothing in another one (as Velero and kubectl-neat list them). */
const assignedByCluster: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Service: [['spec', 'healthCheckNodePort']],
  PersistentVolumeClaim: [['spec', 'volumeName']],
  Pod: [['spec', 'nodeName']],
  Namespace: [['spec', 'finalizers']],
  ServiceAccount: [['secrets']],
};

/** Labels by which a Job finds its pods; the cluster generates them for each Job. */
const jobLabels = ['controller-uid', 'batch.kubernetes.io/controller-uid'];

/**
 * Removes from a manifest the fields that belong to a live object, as `kubectl get -o yaml` prints them. An object that was clearly
 * exported (it has a uid, a resourceVersion or managedFields) also loses what its cluster assigned: addresses, node ports, the bound
 * volume.
 */
export function withoutLiveFields(value: Record<string, unknown>): Cleaned {
  const dropped: string[] = [];
  const object: Record<string, unknown> = cloneMap(value);
  const { metadata } = object;
  if (!isRecord(metadata)) return { object, dropped };
  const isExported = ['uid', 'resourceVersion', 'managedFields'].some((field) => isSet(metadata[field]));
  const drop = (path: readonly string[]) => {
    const parent = path.slice(0, -1).reduce<unknown>((map, step) => (isRecord(map) ? map[step] : undefined), object);
    const last = path.at(-1) ?? '';
    if (!isRecord(parent) || !Object.hasOwn(parent, last)) return;
    if (isSet(parent[last])) dropped.push(path.join('.'));
    delete parent[last];
  };
  for (const field of liveMetadata) drop(['metadata', field]);
  for (const key of liveAnnotations) drop(['metadata', 'annotations', key]);
  if (isSet(metadata.name)) drop(['metadata', 'generateName']);
  if (isExported || isBuiltIn(object.apiVersion)) drop(['status']);
  if (isExported) dropAssigned(object, drop, dropped);
  return { object, dropped };
}

function dropAssigned(
  object: Record<string, unknown>,
  drop: (path: readonly string[]) => void,
  dropped: string[],
): void {
  const { kind, spec } = object;
  for (const path of assignedByCluster[String(kind)] ?? []) drop(path);
  if (!isRecord(spec)) return;
  if (kind === 'Service') {
    if (spec.clusterIP !== 'None') for (const field of ['clusterIP', 'clusterIPs']) drop(['spec', field]);
    for (const [index, port] of Array.isArray(spec.ports) ? spec.ports.entries() : []) {
      if (!isRecord(port) || !isSet(port.nodePort)) continue;
      delete port.nodePort;
      dropped.push(`spec.ports.${index}.nodePort`);
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

/** Answers whether a field has a value. Tools write null, 0 and empty maps for none: `creationTimestamp: null`, `status: {}`. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0) return false;
  return !isRecord(value) || Object.keys(value).length > 0;
}

/** Copies maps and lists, so that the caller's value is not modified. */
function cloneMap(value: Record<string, unknown>): Record<string, unknown> {
  return copy(value) as Record<string, unknown>;
}

function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (!isRecord(value) || isRawInteger(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copy(item)]));
}

/** Answers whether a group is one of Kubernetes itself: all its kinds have status as a subresource. */
function isBuiltIn(apiVersion: unknown): boolean {
  const group = groupOf(String(apiVersion));
  return !group.includes('.') || group.endsWith('.k8s.io');
}
