import { exactInteger } from '../../contract/exact-json.ts';

const maxDepth = 64;

/** What JSON cannot carry unchanged, and where it stands. */
export class Unfit extends Error {
  override readonly name = 'Unfit';
  readonly path: readonly (string | number)[];

  constructor(message: string, path: readonly (string | number)[]) {
    super(message);
    this.path = [...path];
  }
}

/** Plain JSON with sorted keys: equal objects become equal texts. Throws `Unfit`. */
export function canonical(value: unknown): unknown {
  return convert(value, []);
}

function convert(value: unknown, path: (string | number)[]): unknown {
  if (path.length > maxDepth) throw new Unfit(`is nested more than ${maxDepth} deep`, path);
  switch (typeof value) {
    case 'bigint':
      return exactInteger(value);
    case 'number':
      if (!Number.isFinite(value)) throw new Unfit(`${value} is not a JSON number`, path);
      return value;
    case 'string':
      checkText(value, 'a string', path);
      return value;
    case 'boolean':
      return value;
    default:
      if (value === null || value === undefined) return null;
      if (!Array.isArray(value)) return convertMap(value as Record<string, unknown>, path);
      return value.map((item, at) => within(at, item, path));
  }
}

function convertMap(map: Record<string, unknown>, path: (string | number)[]): Record<string, unknown> {
  // No prototype: a key such as "__proto__" is a key like any other.
  const sorted = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(map).sort()) {
    checkText(key, 'a key', [...path, key]);
    sorted[key] = within(key, map[key], path);
  }
  return sorted;
}

function within(step: string | number, value: unknown, path: (string | number)[]): unknown {
  path.push(step);
  const converted = convert(value, path);
  path.pop();
  return converted;
}

function checkText(text: string, what: string, path: readonly (string | number)[]): void {
  if (!text.isWellFormed()) throw new Unfit(`${what} has half of a surrogate pair`, path);
  if (text.includes('\0')) throw new Unfit(`${what} has a NUL character`, path);
}
