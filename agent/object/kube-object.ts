import { isRawInteger } from '../../contract/exact-json.ts';
import { groupOf, type KindId, type ObjectId } from '../../contract/object-key.ts';

export { groupKindOf, groupOf, type KindId, keyOf, kindName, type ObjectId } from '../../contract/object-key.ts';

/** A Kubernetes object as the API server returns it, or as a manifest contains it. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid?: string;
  }[];
  readonly managedFields?: readonly ManagedFields[];
  readonly [field: string]: unknown;
}

/** The fields that a field manager has set, as recorded by the API server. */
export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  /** Version of the kind in which the fields were set. */
  readonly apiVersion?: string;
  readonly fieldsType?: string;
  /** Time of the manager's last write. */
  readonly time?: string;
  readonly fieldsV1?: unknown;
}

/** The field manager of everything that the agent applies. */
export const fieldManager = 'brokkr';
/** Label of an applied object with the id of the stack that it belongs to. */
export const stackLabel = 'k8s.brokkr.io/stack-id';
/** Annotation of an applied object with the checksum of what it was applied from, so that equal content is not applied again. */
export const checksumAnnotation = 'k8s.brokkr.io/checksum';

/** Annotation that, as `disabled`, keeps an object when its stack no longer lists it or is removed. */
const pruneAnnotation = 'k8s.brokkr.io/prune';

/** Returns whether the object must stay when its stack no longer lists it or is removed. */
export function isPruneDisabled({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[pruneAnnotation] === 'disabled';
}

/** Annotation that says whether a change of an immutable field replaces the object: deletes and creates it again. */
export const replaceAnnotation = 'k8s.brokkr.io/replace';

/** Returns what the object itself says about its replacement; undefined when it says nothing. */
export function replaceSetting({ metadata }: KubeObject): boolean | undefined {
  const setting = metadata.annotations?.[replaceAnnotation];
  return setting === undefined ? undefined : setting === 'true';
}

/** Returns the id of an object. */
export function objectIdOf({ apiVersion, kind, metadata }: KubeObject): ObjectId {
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name };
}

/** Returns the namespace of the object with this key. */
export function namespaceOfKey(key: string): string {
  return key.split('/')[2] ?? '';
}

/** Names an object for people: `Deployment default/web`. */
export function displayName({ kind, namespace, name }: ObjectId): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

/** Returns the end of a sentence that quotes the first item of a list: ` (and 2 more)`; empty for a list of one. */
export function andMore(list: readonly unknown[]): string {
  return list.length > 1 ? ` (and ${list.length - 1} more)` : '';
}

/**
 * Returns whether the agent has applied the object for this stack. The label alone does not prove it, because labels are copied.
 */
export function isAppliedFor(object: KubeObject, stackId: string): boolean {
  const { labels, managedFields = [] } = object.metadata;
  if (labels?.[stackLabel] !== stackId) return false;
  return managedFields.some(isOwnApply);
}

/** Returns whether these are the fields that the agent has applied, rather than updated. */
export function isOwnApply({ manager, operation }: ManagedFields): boolean {
  return manager === fieldManager && operation === 'Apply';
}

/** Returns whether the value is an object with named fields. An integer beyond 2^53 is held as an object, but is none. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawInteger(value);
}

/** Returns the value at a path of names; undefined when there is none. */
export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const name of path) current = isRecord(current) ? current[name] : undefined;
  return current;
}

/** Returns the string at a path of names; undefined for anything else. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = valueAt(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

/** Returns the array at a path of names; empty for anything else. */
export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = valueAt(value, ...path);
  return Array.isArray(found) ? found : [];
}

export function isCustomResourceDefinition(id: KindId): boolean {
  return id.kind === 'CustomResourceDefinition' && groupOf(id.apiVersion) === 'apiextensions.k8s.io';
}

export function isNamespace(id: KindId): boolean {
  return id.kind === 'Namespace' && id.apiVersion === 'v1';
}
