import { exactInteger } from '../../contract/exact-json.ts';

const maxDepth = 64;

/** Thrown for a value that JSON cannot hold unchanged, with its place. */
export class UnsupportedValue extends Error {
  override readonly name = 'UnsupportedValue';
  readonly path: readonly (string | number)[];

  constructor(message: string, path: readonly (string | number)[]) {
    super(message);
    this.path = [...path];
  }
}

/** Converts a value to plain JSON with sorted keys, so that equal objects become equal texts. Throws `UnsupportedValue`. */
export function toCanonical(value: unknown): unknown {
  return convert(value, []);
}

function convert(value: unknown, path: (string | number)[]): unknown {
  if (path.length > maxDepth) throw new UnsupportedValue(`is nested more than ${maxDepth} deep`, path);
  switch (typeof value) {
    case 'bigint':
      return exactInteger(value);
    case 'number':
      if (!Number.isFinite(value)) throw new UnsupportedValue(`${value} is not a JSON number`, path);
      return value;
    case 'string':
      checkText(value, 'a string', path);
      return value;
    case 'boolean':
      return value;
    default:
      if (value === null || value === undefined) return null;
      if (!Array.isArray(value)) return convertMap(value as Record<string, unknown>, path);
      return value.map((item, index) => convertChild(index, item, path));
  }
}

function convertMap(map: Record<string, unknown>, path: (string | number)[]): Record<string, unknown> {
  // Without a prototype, "__proto__" is a key like any other.
  const sorted = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(map).sort()) {
    checkText(key, 'a key', [...path, key]);
    sorted[key] = convertChild(key, map[key], path);
  }
  return sorted;
}

function convertChild(step: string | number, value: unknown, path: (string | number)[]): unknown {
  path.push(step);
  const converted = convert(value, path);
  path.pop();
  return converted;
}

function checkText(text: string, name: string, path: readonly (string | number)[]): void {
  if (!text.isWellFormed()) throw new UnsupportedValue(`${name} has half of a surrogate pair`, path);
  if (text.includes('\0')) throw new UnsupportedValue(`${name} has a NUL character`, path);
}
