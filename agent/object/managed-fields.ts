import { isSameScalar } from '../../contract/exact-json.ts';
import { isOwnApply, isRecord, type KubeObject, type ManagedFields } from './kube-object.ts';

/** One step of a path: a field's name, or an item of a list. */
type Step = string | { readonly item: unknown; readonly label: string };
export type FieldPath = readonly Step[];

/** Metadata that the API server maintains. */
const bookkeeping: ReadonlySet<string> = new Set([
  'managedFields',
  'resourceVersion',
  'generation',
  'uid',
  'creationTimestamp',
]);
/** Maximum number of paths in a report. */
const maxPaths = 50;

/**
 * Returns the paths, at most 50, of the fields in which the live object differs from `other`: the result of an apply, or, with
 * `part`, the object to apply, which lacks the fields that others set.
 */
export function differences(live: KubeObject, other: KubeObject, { part = false } = {}): FieldPath[] {
  const found: FieldPath[] = [];
  compare(content(live), content(other), [], part, found);
  return found;
}

/** Formats a path for people: `.spec.template.spec.containers[name=web].image`. */
export function pathText(path: FieldPath): string {
  return path.map((step) => (typeof step === 'string' ? `.${quoted(step)}` : `[${step.label}]`)).join('');
}

/**
 * Returns the managers other than the agent that own one of the fields. Nobody owns a field that was removed: then the only manager
 * that has written since the agent's apply, if there is just one.
 */
export function managersOf(live: KubeObject, paths: readonly FieldPath[]): string[] {
  const all = live.metadata.managedFields ?? [];
  const entries = all.filter((entry) => !isOwnApply(entry) && entry.subresource !== 'status');
  const owners = entries.filter(({ fieldsV1 }) => paths.some((path) => owns(fieldsV1, path)));
  if (owners.length > 0) return namesOf(owners);
  const appliedAt = all.find(isOwnApply)?.time ?? '';
  const later = namesOf(entries.filter(({ time = '' }) => time > appliedAt));
  return later.length === 1 ? later : [];
}

function namesOf(entries: readonly ManagedFields[]): string[] {
  return [...new Set(entries.flatMap(({ manager }) => manager ?? []))];
}

/** Returns the field set below an item of a list; undefined when the set does not contain the item. */
export function fieldsOfItem(fields: unknown, item: unknown): unknown {
  if (!isRecord(fields)) return undefined;
  for (const [name, inner] of Object.entries(fields)) {
    if (name.startsWith('v:') && JSON.stringify(item) === name.slice(2)) return inner;
    if (!name.startsWith('k:')) continue;
    const keys: unknown = JSON.parse(name.slice(2));
    // The server fills in merge keys that a manifest leaves out.
    if (
      isRecord(keys) &&
      isRecord(item) &&
      Object.keys(keys).every((key) => item[key] === undefined || item[key] === keys[key])
    )
      return inner;
  }
  return undefined;
}

/** Returns whether a field set contains the path, or the whole of a value on the way to it. */
function owns(fieldsV1: unknown, path: FieldPath): boolean {
  let fields = fieldsV1;
  for (const step of path) {
    const inner = typeof step === 'string' ? fieldOf(fields, step) : fieldsOfItem(fields, step.item);
    if (inner === undefined) return fields !== fieldsV1 && isRecord(fields) && Object.keys(fields).length === 0;
    fields = inner;
  }
  return true;
}

/** Returns the field set below a name; undefined when the set does not contain the name. */
export function fieldOf(fields: unknown, name: string): unknown {
  return isRecord(fields) ? fields[`f:${name}`] : undefined;
}

function content({ metadata, status: _, ...rest }: KubeObject): Record<string, unknown> {
  return {
    ...rest,
    metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => !bookkeeping.has(name))),
  };
}

function compare(live: unknown, other: unknown, path: FieldPath, part: boolean, found: FieldPath[]): void {
  if (found.length >= maxPaths || isSameScalar(live, other)) return;
  if (part && other === undefined) return;
  const isMap = isRecord(live) && isRecord(other);
  // With the last label, annotation or key, the map itself disappears.
  const isFlat = path.length > 0 && path.length <= 2 && (path[0] === 'metadata' || path[0] === 'data');
  if (isMap || (isFlat && (isRecord(live) || isRecord(other)))) {
    const left = isRecord(live) ? live : {};
    const right = isRecord(other) ? other : {};
    const names = part ? Object.keys(right) : new Set([...Object.keys(left), ...Object.keys(right)]);
    for (const name of names) compare(left[name], right[name], [...path, name], part, found);
    return;
  }
  if (Array.isArray(live) && Array.isArray(other) && compareLists(live, other, path, part, found)) return;
  found.push(path);
}

/** Compares lists item by item. Returns false for lists of different lengths whose items have no names to match them by. */
function compareLists(
  live: readonly unknown[],
  other: readonly unknown[],
  path: FieldPath,
  part: boolean,
  found: FieldPath[],
): boolean {
  const left = byName(live);
  const right = byName(other);
  if (left && right) {
    const names = part ? right.keys() : new Set([...left.keys(), ...right.keys()]);
    for (const name of names) {
      const item = left.get(name) ?? right.get(name);
      compare(left.get(name), right.get(name), [...path, { item, label: `name=${name}` }], part, found);
    }
    return true;
  }
  if (live.length !== other.length) return false;
  for (const [index, item] of live.entries())
    compare(item, other[index], [...path, { item, label: String(index) }], part, found);
  return true;
}

function byName(list: readonly unknown[]): Map<string, unknown> | undefined {
  const named = new Map<string, unknown>();
  for (const item of list) {
    if (!isRecord(item) || typeof item.name !== 'string' || named.has(item.name)) return undefined;
    named.set(item.name, item);
  }
  return named;
}

/** Quotes names with dots, such as those of annotations, which would read as paths. */
function quoted(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : `"${name}"`;
}
