import { groupOf } from '../../contract/object-key.ts';

/** A Kubernetes object as it is submitted. */
export interface ManifestObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  [field: string]: unknown;
}

export interface ObjectIdentity {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty when the submission names none. */
  readonly namespace: string;
  readonly name: string;
}

export interface Problem {
  /** Of the field, in the object. */
  readonly path: readonly string[];
  readonly message: string;
}

/** Fields that belong to a live object; server-side apply refuses them or would make them wrong. */
const liveFields = [
  'uid',
  'resourceVersion',
  'managedFields',
  'generateName',
  'selfLink',
  'deletionTimestamp',
] as const;

/** Keys that agents write themselves. */
const reserved = { labels: 'k8s.brokkr.io/stack-id', annotations: 'k8s.brokkr.io/checksum' } as const;

const apiVersionShape = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?v[a-z0-9]{1,20}$/;
const kindShape = /^[A-Z][A-Za-z0-9]{0,62}$/;
const labelNameShape = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Checks what every Kubernetes object must have, and what a submission must not have; the rest is the API server's to judge.
 * Returns the object to keep (without status and empty creationTimestamp, which a manifest does not decide), or what is wrong.
 */
export function checkObject(value: unknown): ManifestObject | Problem[] {
  const problems: Problem[] = [];
  const bad = (path: readonly string[], message: string) =>
    problems.push({ path, message: `${path.join('.') || 'the document'} ${message}` });
  if (!isRecord(value)) {
    bad([], 'is not a Kubernetes object: a map with apiVersion, kind and metadata');
    return problems;
  }
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== 'string' || !apiVersionShape.test(apiVersion))
    bad(['apiVersion'], 'must be like "v1" or "apps/v1"');
  if (typeof kind !== 'string' || !kindShape.test(kind)) bad(['kind'], 'must be like "ConfigMap"');
  if (!isRecord(metadata)) {
    bad(['metadata'], 'must be a map with a name');
    return problems;
  }
  for (const field of liveFields) {
    if (metadata[field] !== undefined && metadata[field] !== null)
      bad(['metadata', field], 'belongs to a live object: leave it out');
  }
  if (!isName(metadata.name))
    bad(['metadata', 'name'], 'must be a name of 1 to 253 characters without "/", "%" and white space');
  const namespace = metadata.namespace;
  if (
    namespace !== undefined &&
    namespace !== null &&
    !(typeof namespace === 'string' && labelNameShape.test(namespace))
  ) {
    bad(['metadata', 'namespace'], 'must be a lower-case name of 1 to 63 characters');
  }
  for (const field of ['labels', 'annotations'] as const)
    checkStrings(metadata[field], ['metadata', field], reserved[field], bad);
  if (kind === 'ConfigMap' && typeof metadata.name === 'string' && metadata.name.startsWith('brokkr-inv-')) {
    bad(['metadata', 'name'], 'must not start with "brokkr-inv-": those are the agents\' inventories');
  }
  return problems.length > 0 ? problems : keep(value as ManifestObject);
}

function keep(object: ManifestObject): ManifestObject {
  const metadata = withoutNulls(object.metadata as unknown as Record<string, unknown>);
  const kept = { ...object, metadata } as unknown as ManifestObject;
  if (isBuiltIn(kept.apiVersion)) delete kept.status;
  return kept;
}

function withoutNulls(metadata: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null && value !== ''));
}

/** Groups of Kubernetes itself, whose kinds all keep status apart. */
function isBuiltIn(apiVersion: string): boolean {
  const group = groupOf(apiVersion);
  return !group.includes('.') || group.endsWith('.k8s.io');
}

function checkStrings(
  value: unknown,
  path: readonly string[],
  reservedKey: string,
  bad: (path: readonly string[], message: string) => void,
): void {
  if (value === undefined || value === null) return;
  if (!isRecord(value)) {
    bad(path, 'must be a map of strings');
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'string') bad([...path, key], 'must be a string: quote it');
  }
  if (reservedKey in value) bad([...path, reservedKey], 'is written by the agents: leave it out');
}

/** A path segment by the API server's rule (ValidatePathSegmentName); each kind may be stricter. */
function isName(name: unknown): boolean {
  return (
    typeof name === 'string' &&
    name.length >= 1 &&
    name.length <= 253 &&
    name !== '.' &&
    name !== '..' &&
    !/[/%\s\p{C}]/u.test(name)
  );
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What tells an object from all others of its cluster. */
export function identity(object: ManifestObject): ObjectIdentity {
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
  };
}
