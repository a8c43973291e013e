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

/** Keys that agents write themselves. */
const reserved = { labels: 'k8s.brokkr.io/stack-id', annotations: 'k8s.brokkr.io/checksum' } as const;

/** A group is a DNS name, a version a DNS label (RFC 1035): what the API server takes in a definition. */
const apiVersionShape = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
/** A kind in lower case may be a DNS label, too: the API server takes `postgresql`. */
const kindShape = /^[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;
const labelNameShape = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Checks what every Kubernetes object must have, and what a submission must not have; the rest is the API server's to judge.
 * Takes an object that `withoutLiveFields` has cleaned. Returns the object to keep, or what is wrong.
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
  if (!isName(metadata.name))
    bad(
      ['metadata', 'name'],
      `must be a name of 1 to 253 characters without "/", "%" and white space${hintOf(metadata.name)}`,
    );
  const namespace = metadata.namespace;
  if (
    namespace !== undefined &&
    namespace !== null &&
    namespace !== '' &&
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

/** Drops what says nothing: an empty namespace and null labels or annotations, which kubectl drops too. */
function keep(object: ManifestObject): ManifestObject {
  const metadata = withoutEmpty(object.metadata as unknown as Record<string, unknown>);
  for (const field of ['labels', 'annotations'] as const) {
    const strings = metadata[field];
    if (isRecord(strings)) metadata[field] = withoutNulls(strings);
  }
  return { ...object, metadata } as unknown as ManifestObject;
}

function withoutEmpty(map: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== null && value !== ''));
}

function withoutNulls(map: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== null));
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
    if (typeof item !== 'string' && item !== null) bad([...path, key], 'must be a string: quote it');
  }
  if (reservedKey in value) bad([...path, reservedKey], 'is written by the agents: leave it out');
}

/** Says why a name that looks like text is none: YAML reads n, no, on and the like as booleans, and 12 as a number. */
function hintOf(name: unknown): string {
  if (typeof name === 'boolean') return `, but YAML reads it as the boolean ${name}: quote it`;
  return typeof name === 'number' ? `, but YAML reads it as the number ${name}: quote it` : '';
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
