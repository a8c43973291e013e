import { groupOf, type KindId, type ObjectId } from '../../contract/object-key.ts';

export { groupKindOf, groupOf, type KindId, keyOf, kindName, type ObjectId } from '../../contract/object-key.ts';

/** A Kubernetes object as the API server answers it, or as a manifest holds it. */
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

/** What a field manager has set, as the API server keeps book of it. */
export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  /** When it last wrote. */
  readonly time?: string;
  readonly fieldsV1?: unknown;
}

/** The field manager of everything that the agent applies. */
export const fieldManager = 'brokkr';
/** Label of an applied object: the stack it belongs to. */
export const stackLabel = 'k8s.brokkr.io/stack-id';
/** Annotation of an applied object: what it was applied from, so that an equal one need not be applied again. */
export const checksumAnnotation = 'k8s.brokkr.io/checksum';

/** Annotation of an object: with `disabled` it is never deleted because its stack no longer lists it, or is removed. */
const pruneAnnotation = 'k8s.brokkr.io/prune';

export function isPruneDisabled({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[pruneAnnotation] === 'disabled';
}

export function idOf({ apiVersion, kind, metadata }: KubeObject): ObjectId {
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name };
}

/** Of the object that the key stands for. */
export function namespaceOfKey(key: string): string {
  return key.split('/')[2] ?? '';
}

/** As people name it: `Deployment default/web`. */
export function nameOf({ kind, namespace, name }: ObjectId): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

/** What a sentence about the first of a list ends with: ` (and 2 more)`; nothing for a list of one. */
export function andMore(list: readonly unknown[]): string {
  return list.length > 1 ? ` (and ${list.length - 1} more)` : '';
}

/** Whether the object was applied for this stack: its label, and an apply by our field manager. Copies of the label alone do not count. */
export function isAppliedFor(object: KubeObject, stackId: string): boolean {
  const { labels, managedFields = [] } = object.metadata;
  if (labels?.[stackLabel] !== stackId) return false;
  return managedFields.some(isOwnApply);
}

/** Whether these are the fields that this agent has applied; an update by its field manager is none of it. */
export function isOwnApply({ manager, operation }: ManagedFields): boolean {
  return manager === fieldManager && operation === 'Apply';
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at a path of names; undefined where there is none. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const name of path) here = isRecord(here) ? here[name] : undefined;
  return here;
}

export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

export function isCustomResourceDefinition(id: KindId): boolean {
  return id.kind === 'CustomResourceDefinition' && groupOf(id.apiVersion) === 'apiextensions.k8s.io';
}

export function isNamespace(id: KindId): boolean {
  return id.kind === 'Namespace' && id.apiVersion === 'v1';
}
