import { isObject, type Json, type JsonObject } from '../core/object.ts';
import type { Shape } from '../core/shape.ts';

/** Separates the elements of a field's path: `f:spec`, `f:ports`, `k:{"port":80,"protocol":"TCP"}`, `v:"finalizer"`. */
const SEPARATOR = '\u0000';

/** Fields without an owner. */
const unowned: ReadonlySet<string> = new Set([
  'apiVersion',
  'kind',
  ...['name', 'namespace', 'uid', 'resourceVersion', 'creationTimestamp', 'deletionTimestamp'].map(inMetadata),
  ...['deletionGracePeriodSeconds', 'generation', 'managedFields', 'selfLink'].map(inMetadata),
]);

/** Returns every owned path of an object with its value; the value of a list item is `true`. */
export function ownedFields(object: JsonObject, shape: Shape): Map<string, Json> {
  const fields = new Map<string, Json>();
  const walk = (value: Json, path: string, names: string): void => {
    if (unowned.has(names)) return;
    if (isObject(value)) {
      const entries = Object.entries(value).filter(([, member]) => member !== undefined);
      if (path && (entries.length === 0 || shape(names, false) === 'atomic')) fields.set(path, value);
      else
        for (const [name, member] of entries) walk(member, join(path, `f:${name}`), names ? `${names}.${name}` : name);
    } else if (Array.isArray(value)) {
      const elements = pathElements(value, names, shape);
      if (!elements) fields.set(path, value);
      else
        value.forEach((item, n) => {
          const itemPath = join(path, elements[n]!);
          fields.set(itemPath, true);
          if (isObject(item)) walkItem(item, itemPath, names);
        });
    } else fields.set(path, value);
  };
  const walkItem = (item: JsonObject, path: string, names: string) => {
    for (const [name, member] of Object.entries(item)) walk(member, join(path, `f:${name}`), `${names}.${name}`);
  };
  walk(object, '', '');
  return fields;
}

/** Returns the path elements of a list's items, or undefined for a list that is owned as a whole. */
export function pathElements(list: Json[], names: string, shape: Shape): string[] | undefined {
  const ownership = shape(names, true);
  if (typeof ownership === 'string')
    return ownership === 'set' ? list.map((item) => `v:${JSON.stringify(item)}`) : undefined;
  const elements = list.map((item) => keyElement(item, ownership));
  const complete = elements.every((element) => element !== undefined);
  return complete && new Set(elements).size === elements.length ? elements : undefined;
}

export function toFieldsV1(paths: Iterable<string>): JsonObject {
  const root: JsonObject = {};
  for (const path of [...paths].sort()) {
    let here = root;
    for (const element of path.split(SEPARATOR)) {
      const next = here[element];
      if (isObject(next)) here = next;
      else {
        const made: JsonObject = {};
        here[element] = made;
        here = made;
      }
    }
    here['.'] = {};
  }
  return shortenLeaves(root);
}

export function fromFieldsV1(fields: JsonObject): Set<string> {
  const paths = new Set<string>();
  const walk = (node: JsonObject, path: string) => {
    const names = Object.keys(node);
    if (path && names.length === 0) paths.add(path);
    for (const name of names) {
      const member = node[name];
      if (name === '.') paths.add(path);
      else if (isObject(member)) walk(member, join(path, name));
    }
  };
  walk(fields, '');
  return paths;
}

/** Returns the paths together with all their parents. */
export function withParents(paths: Iterable<string>): Set<string> {
  const all = new Set<string>();
  for (const path of paths)
    for (let end = path.length; end > 0 && !all.has(path.slice(0, end)); end = path.lastIndexOf(SEPARATOR, end - 1))
      all.add(path.slice(0, end));
  return all;
}

export function elementsOfPath(path: string): string[] {
  return path.split(SEPARATOR);
}

/** Formats a path as messages show it: `.spec.containers[name="web"].image`. */
export function formatPath(path: string): string {
  return elementsOfPath(path)
    .map((element) => {
      const text = element.slice(2);
      if (element.startsWith('f:')) return `.${text}`;
      if (element.startsWith('v:')) return `[=${text}]`;
      const keys = Object.entries(JSON.parse(text) as JsonObject);
      return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}

export function keyElement(item: Json, keys: readonly string[]): string | undefined {
  if (!isObject(item)) return undefined;
  const found: JsonObject = {};
  for (const key of [...keys].sort()) {
    const value = item[key] === undefined && key === 'protocol' ? 'TCP' : item[key];
    if (value === undefined) return undefined;
    found[key] = value;
  }
  return `k:${JSON.stringify(found)}`;
}

/** A leaf member is written as an empty node; others contain a dot. */
function shortenLeaves(node: JsonObject): JsonObject {
  const names = Object.keys(node);
  if (names.length === 1 && names[0] === '.') return {};
  for (const name of names) {
    const member = node[name];
    if (name !== '.' && isObject(member)) node[name] = shortenLeaves(member);
  }
  return node;
}

function join(path: string, element: string): string {
  return path ? path + SEPARATOR + element : element;
}

function inMetadata(name: string): string {
  return `metadata.${name}`;
}
