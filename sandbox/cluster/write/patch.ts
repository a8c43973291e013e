import { isObject, type Json, type JsonObject } from '../core/object.ts';
import type { Shape } from '../core/shape.ts';
import { badRequest, StatusError } from '../core/status.ts';
import { pathElements } from './fields.ts';

export function mergePatch(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

/**
 * Applies a strategic merge patch: lists merge by their keys. Supports the directives `$patch: delete` and `replace`.
 */
export function strategicPatch(target: Json, patch: Json, shape: Shape, names = ''): Json {
  if (Array.isArray(patch)) return strategicList(Array.isArray(target) ? target : [], patch, shape, names);
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) && patch.$patch !== 'replace' ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith('$')) continue;
    if (value === null) delete merged[name];
    else merged[name] = strategicPatch(merged[name], value, shape, names ? `${names}.${name}` : name);
  }
  return merged;
}

function strategicList(target: Json[], patch: Json[], shape: Shape, names: string): Json[] {
  const present = pathElements(target, names, shape);
  const given = pathElements(patch, names, shape);
  if (!present || !given) return patch;
  const merged = new Map(present.map((element, n) => [element, target[n]]));
  patch.forEach((item, n) => {
    const element = given[n]!;
    if (isObject(item) && item.$patch === 'delete') merged.delete(element);
    else merged.set(element, strategicPatch(merged.get(element), item, shape, names));
  });
  return [...merged.values()];
}

export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations)) throw badRequest('error decoding patch: a JSON patch is a list');
  let result: Json = structuredClone(target);
  for (const operation of operations) {
    if (!isObject(operation)) throw badRequest('error decoding patch: an operation is an object');
    result = operate(result, operation);
  }
  return result;
}

function operate(root: Json, operation: JsonObject): Json {
  const path = pointer(operation.path);
  switch (operation.op) {
    case 'add':
      return place(root, path, operation.value, true);
    case 'replace':
      read(root, path);
      return place(root, path, operation.value, false);
    case 'remove':
      return drop(root, path);
    case 'copy':
      return place(root, path, structuredClone(read(root, pointer(operation.from))), true);
    case 'move': {
      const moved = read(root, pointer(operation.from));
      return place(drop(root, pointer(operation.from)), path, moved, true);
    }
    case 'test':
      if (JSON.stringify(read(root, path)) !== JSON.stringify(operation.value))
        throw new StatusError(422, `the server rejected our request: testing value ${operation.path} failed`);
      return root;
    default:
      throw badRequest(`error decoding patch: unknown operation ${String(operation.op)}`);
  }
}

function pointer(path: Json): string[] {
  if (typeof path !== 'string') throw badRequest('error decoding patch: a path is a string');
  return path
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(value: Json, path: readonly string[]): Json {
  let here = value;
  for (const part of path) here = Array.isArray(here) ? here[Number(part)] : isObject(here) ? here[part] : undefined;
  if (here === undefined) throw new StatusError(422, `the server rejected our request: no value at /${path.join('/')}`);
  return here;
}

function place(root: Json, path: readonly string[], value: Json, insert: boolean): Json {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = read(root, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    parent.splice(index, insert ? 0 : 1, value);
  } else if (isObject(parent)) parent[last] = value;
  return root;
}

function drop(root: Json, path: readonly string[]): Json {
  read(root, path);
  const last = path.at(-1) ?? '';
  const parent = read(root, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else if (isObject(parent)) delete parent[last];
  return root;
}
