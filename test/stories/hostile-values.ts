import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';

const texts: Readonly<Record<string, string>> = {
  NUL: 'a\0b',
  '64 KiB': 'x'.repeat(64 << 10),
  '64 KiB beyond ASCII': '\u{1f600}'.repeat(16 << 10),
  SQL: `'; delete from stack; --`,
  'SQL wildcards': '%_\\',
  'line ends and escapes': 'a\r\nGrpc-Status: 0\r\n\r\n\u001b[2Jb',
  'a prototype': '__proto__',
  'a format': '$(id) {{7*7}} %s%n',
  'a path': '../../../../etc/passwd',
  'an id': '00000000-0000-0000-0000-000000000000',
  'right to left': '\u202egnp.exe',
};
const numbers: Partial<Record<ScalarType, readonly (number | bigint)[]>> = {
  [ScalarType.INT32]: [2_147_483_647, -2_147_483_648, -1],
  [ScalarType.UINT32]: [4_294_967_295, 2_147_483_648],
  [ScalarType.INT64]: [2n ** 63n - 1n, -(2n ** 63n), 253_402_300_800n, 8_640_000_000_001n],
  [ScalarType.UINT64]: [2n ** 64n - 1n, 2n ** 63n, 2n ** 62n],
};

/** A place in a message that accepts a value. */
export interface Site {
  readonly path: string;
  readonly field: DescField;
  readonly write: (message: ReflectMessage, value: unknown) => void;
}

/** Yields every such place. */
export function* sitesOf(message: DescMessage, depth: number): Generator<Site> {
  if (depth > 3) return;
  for (const field of message.fields) {
    const path = field.name;
    if (field.fieldKind === 'scalar' || field.fieldKind === 'enum')
      yield { path, field, write: (to, value) => to.set(field, value as never) };
    else if (field.fieldKind === 'message')
      for (const site of sitesOf(field.message, depth + 1))
        yield {
          ...site,
          path: `${path}.${site.path}`,
          write: (to, value) => {
            const child = to.isSet(field) ? to.get(field) : reflect(field.message);
            site.write(child, value);
            to.set(field, child);
          },
        };
    else if (field.fieldKind === 'list' && field.listKind === 'message')
      for (const site of sitesOf(field.message, depth + 1))
        yield {
          ...site,
          path: `${path}[].${site.path}`,
          write: (to, value) => {
            const child = to.get(field).get(0) ?? reflect(field.message);
            site.write(child as ReflectMessage, value);
            if (to.get(field).size === 0) to.get(field).add(child as never);
          },
        };
    else if (field.fieldKind === 'list') yield { path, field, write: (to, value) => to.get(field).add(value as never) };
    else if (field.fieldKind === 'map') {
      yield { path: `${path} key`, field, write: (to, value) => to.get(field).set(value as never, 'v') };
      yield { path: `${path} value`, field, write: (to, value) => to.get(field).set('k' as never, value) };
    }
  }
}

/** Returns hostile values for a field's type, each with its description. */
export function valuesFor(field: DescField): readonly (readonly [string, unknown])[] {
  if (field.fieldKind === 'enum') return [99, -1, 2_147_483_647].map((value) => [String(value), value]);
  const scalar =
    field.fieldKind === 'scalar' || field.fieldKind === 'list'
      ? field.scalar
      : field.fieldKind === 'map'
        ? ScalarType.STRING
        : undefined;
  if (scalar === ScalarType.STRING) return Object.entries(texts);
  if (scalar === ScalarType.BYTES) return [0, 1, 64 << 10].map((size) => [`${size} bytes`, Buffer.alloc(size, 0xff)]);
  return (scalar === undefined ? [] : (numbers[scalar] ?? [])).map((value) => [String(value), value]);
}
