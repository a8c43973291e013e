import { isObject, type Json, type JsonObject } from '../core/object.ts';
import type { Shape } from '../core/shape.ts';
import { elementsOfPath, keyElement, pathElements, withParents } from './fields.ts';

/** Returns the live object merged with the applied one. */
export function mergeApplied(liveValue: JsonObject, applied: JsonObject, shape: Shape): JsonObject {
  return mergeMaps(liveValue, applied, '', shape);
}

/**
 * Removes fields that an owner applied before (`last`) and no longer does, unless they are in `kept`: the paths that
 * this apply or any other owner holds.
 */
export function pruneApplied(object: JsonObject, last: Iterable<string>, kept: Iterable<string>): JsonObject {
  const keptPaths = withParents(kept).add('f:metadata');
  const doomed = new Set<string>();
  for (const path of last) {
    if (keptPaths.has(path)) continue;
    const elements = elementsOfPath(path);
    let top = elements[0]!;
    for (let n = 1; n < elements.length && keptPaths.has(top); n++) top += `\u0000${elements[n]}`;
    doomed.add(top);
  }
  let pruned: Json = object;
  for (const path of doomed) pruned = without(pruned, elementsOfPath(path));
  return pruned as JsonObject;
}

function mergeMaps(liveValue: JsonObject, applied: JsonObject, names: string, shape: Shape): JsonObject {
  const merged: JsonObject = { ...liveValue };
  for (const [name, value] of Object.entries(applied))
    merged[name] = mergeValues(liveValue[name], value, names ? `${names}.${name}` : name, shape);
  return merged;
}

function mergeValues(liveValue: Json, applied: Json, names: string, shape: Shape): Json {
  if (isObject(liveValue) && isObject(applied) && shape(names, false) !== 'atomic')
    return mergeMaps(liveValue, applied, names, shape);
  if (Array.isArray(liveValue) && Array.isArray(applied)) return mergeLists(liveValue, applied, names, shape);
  return applied;
}

/** Merges in the applied order; items that only the live list has keep their place before the next common one. */
function mergeLists(liveValue: Json[], applied: Json[], names: string, shape: Shape): Json[] {
  const liveElements = pathElements(liveValue, names, shape);
  const appliedElements = pathElements(applied, names, shape);
  if (!liveElements || !appliedElements) return applied;
  const position = new Map(liveElements.map((element, n) => [element, n]));
  const both = new Set(appliedElements);
  const merged: Json[] = [];
  let next = 0;
  const takeLiveOnly = (end: number) => {
    for (; next < end; next++) if (!both.has(liveElements[next]!)) merged.push(liveValue[next]);
  };
  applied.forEach((item, n) => {
    const place = position.get(appliedElements[n]!);
    if (place === undefined) merged.push(item);
    else {
      takeLiveOnly(place);
      const old = liveValue[place];
      merged.push(isObject(old) && isObject(item) ? mergeMaps(old, item, names, shape) : item);
    }
  });
  takeLiveOnly(liveValue.length);
  return merged;
}

function without(value: Json, elements: readonly string[]): Json {
  const [first = '', ...rest] = elements;
  const text = first.slice(2);
  if (first.startsWith('f:')) {
    if (!isObject(value) || !(text in value)) return value;
    const { [text]: member, ...others } = value;
    return rest.length === 0 ? others : { ...value, [text]: without(member, rest) };
  }
  if (!Array.isArray(value)) return value;
  const matches = itemMatcher(first);
  if (rest.length === 0) return value.filter((item) => !matches(item));
  return value.map((item) => (matches(item) ? without(item, rest) : item));
}

function itemMatcher(element: string): (item: Json) => boolean {
  const text = element.slice(2);
  if (element.startsWith('v:')) return (item) => JSON.stringify(item) === text;
  const keys = Object.keys(JSON.parse(text) as JsonObject);
  return (item) => keyElement(item, keys) === element;
}
