import { createHash } from 'node:crypto';
import { type Document, isMap, LineCounter, parseAllDocuments, type Tags } from 'yaml';
import { checkObject, type ManifestObject, type ObjectIdentity } from './object.ts';

/** The limits of a submission; each is an answer, never a crash. */
export const limits = {
  submissionBytes: 8 << 20,
  objectBytes: 2 << 20,
  objects: 5_000,
  aliases: 100,
  depth: 64,
  violations: 20,
} as const;

/** What is wrong, and where: documents and lines count from 1. */
export interface Violation {
  readonly document: number;
  readonly line: number;
  readonly message: string;
}

export interface ParsedManifest {
  /** One object as JSON a line, keys sorted: what is stored, hashed and sent. */
  readonly data: Uint8Array;
  readonly checksum: Uint8Array;
  readonly objects: readonly ObjectIdentity[];
  /** "apiVersion/Kind", each once, sorted. */
  readonly kinds: readonly string[];
}

export type ParseResult = ParsedManifest | { readonly violations: readonly Violation[] };

/** What kubectl's YAML reader does not know of YAML 1.1: base-60 numbers, timestamps and the collection types. */
const unknownToKubectl = /:(timestamp|binary|omap|pairs|set)$/;

/**
 * Reads a submission as kubectl reads it (YAML 1.1 scalars as in sigs.k8s.io/yaml: 0644 is octal, yes and on are true; JSON is YAML),
 * checks every document, and makes the canonical form. All documents are looked at, so that one answer names everything wrong
 * (at most 20). Pure and slow: call it off the event loop.
 */
export function parseManifest(bytes: Uint8Array): ParseResult {
  const text = decode(bytes);
  if (typeof text !== 'string') return { violations: [text] };
  const lines = new LineCounter();
  const documents = compose(text, lines);
  if (!Array.isArray(documents)) return { violations: [documents] };
  const violations: Violation[] = [];
  const objects: { object: ManifestObject; at: Violation; json: string }[] = [];
  let total = 0;
  for (const [index, document] of documents.entries()) {
    const number = index + 1;
    const lineOf = (offset: number | undefined) => lines.linePos(offset ?? document.range?.[0] ?? 0).line;
    const bad = (message: string, offset?: number) =>
      violations.push({ document: number, line: lineOf(offset), message });
    // One slip can make the parser say the same of every bracket after it.
    const said = new Set<string>();
    for (const problem of [...document.errors, ...document.warnings]) {
      if (!said.has(problem.message)) bad(firstLine(problem.message), problem.pos[0]);
      said.add(problem.message);
    }
    if (document.errors.length > 0 || document.warnings.length > 0) continue;
    try {
      const value = canonical(document.toJS({ maxAliasCount: limits.aliases }), 0);
      if (value === null) continue;
      for (const item of flatten(value)) {
        const at = { document: number, line: lineOf(firstKey(document)), message: '' };
        const checked = checkObject(item, (path) => lineOf(offsetOf(document, path)));
        if (Array.isArray(checked)) violations.push(...checked.map((problem) => ({ document: number, ...problem })));
        else {
          const json = JSON.stringify(checked);
          total += json.length;
          const size = Buffer.byteLength(json);
          if (size > limits.objectBytes) bad(`the object has ${size} bytes; at most ${limits.objectBytes} are allowed`);
          else if (total <= limits.submissionBytes) objects.push({ object: checked, at, json });
        }
      }
    } catch (error) {
      bad(firstLine(error instanceof Error ? error.message : String(error)));
    }
    if (violations.length >= limits.violations) break;
  }
  if (total > limits.submissionBytes)
    violations.push({ document: 1, line: 1, message: `the objects have more than ${limits.submissionBytes} bytes` });
  if (objects.length > limits.objects)
    violations.push({
      document: 1,
      line: 1,
      message: `${objects.length} objects; at most ${limits.objects} are allowed`,
    });
  violations.push(...findTwins(objects));
  if (violations.length > 0) return { violations: violations.slice(0, limits.violations) };
  return seal(objects.map(({ object, json }) => ({ object, json })));
}

function seal(objects: readonly { object: ManifestObject; json: string }[]): ParsedManifest {
  const data = Buffer.from(objects.map(({ json }) => `${json}\n`).join(''));
  return {
    data,
    checksum: createHash('sha256').update(data).digest(),
    objects: objects.map(({ object }) => identity(object)),
    kinds: [...new Set(objects.map(({ object }) => `${object.apiVersion}/${object.kind}`))].sort(),
  };
}

/** The objects of a stored manifest. */
export function readManifest(data: Uint8Array): ManifestObject[] {
  return Buffer.from(data)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ManifestObject);
}

export function identity(object: ManifestObject): ObjectIdentity {
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
  };
}

function decode(bytes: Uint8Array): string | Violation {
  if (bytes.length > limits.submissionBytes)
    return { document: 1, line: 1, message: `more than ${limits.submissionBytes} bytes` };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const nul = text.indexOf('\0');
    if (nul < 0) return text;
    return { document: 1, line: text.slice(0, nul).split('\n').length, message: 'has a NUL character' };
  } catch {
    return { document: 1, line: 1, message: 'is not UTF-8' };
  }
}

function compose(text: string, lineCounter: LineCounter): Document.Parsed[] | Violation {
  try {
    const documents = parseAllDocuments(text, {
      version: '1.1',
      schema: 'yaml-1.1',
      customTags: asKubectl,
      merge: true,
      strict: true,
      uniqueKeys: true,
      intAsBigInt: true,
      stringKeys: false,
      lineCounter,
      prettyErrors: false,
    });
    return Array.isArray(documents) ? documents : [];
  } catch (error) {
    // The parser recurses: what it cannot take is far deeper than any Kubernetes object.
    return {
      document: 1,
      line: 1,
      message: error instanceof RangeError ? 'is nested too deeply' : firstLine(String(error)),
    };
  }
}

function asKubectl(tags: Tags): Tags {
  return tags.filter(
    (tag) => typeof tag === 'string' || !(unknownToKubectl.test(tag.tag) || ('format' in tag && tag.format === 'TIME')),
  );
}

/** Plain JSON with sorted keys. Throws on what JSON cannot carry unchanged. */
function canonical(value: unknown, depth: number): unknown {
  if (depth > limits.depth) throw new Error(`is nested more than ${limits.depth} deep`);
  switch (typeof value) {
    case 'bigint':
      if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)
        throw new Error(`the number ${value} is too large to be kept exactly; quote it`);
      return Number(value);
    case 'number':
      if (!Number.isFinite(value)) throw new Error(`${value} is not a JSON number`);
      return value;
    case 'string':
      if (!value.isWellFormed()) throw new Error('a string has half of a surrogate pair');
      if (value.includes('\0')) throw new Error('a string has a NUL character');
      return value;
    case 'boolean':
      return value;
    default:
      if (value === null || value === undefined) return null;
      if (Array.isArray(value)) return value.map((item) => canonical(item, depth + 1));
      return canonicalMap(value as Record<string, unknown>, depth);
  }
}

function canonicalMap(map: Record<string, unknown>, depth: number): Record<string, unknown> {
  // No prototype: a key such as "__proto__" is a key like any other.
  const sorted = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(map).sort()) {
    if (!key.isWellFormed() || key.includes('\0')) throw new Error('a key is not clean text');
    sorted[key] = canonical(map[key], depth + 1);
  }
  return sorted;
}

/** `kind: List` and its likes stand for their items, as with kubectl. */
function flatten(value: unknown): unknown[] {
  const list = value as { kind?: unknown; items?: unknown };
  return typeof list.kind === 'string' && list.kind.endsWith('List') && Array.isArray(list.items)
    ? list.items
    : [value];
}

function findTwins(objects: readonly { object: ManifestObject; at: Violation }[]): Violation[] {
  const first = new Map<string, Violation>();
  const twins: Violation[] = [];
  for (const { object, at } of objects) {
    const { apiVersion, kind, namespace, name } = identity(object);
    // The same object may be written in two versions of its group.
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
    const key = JSON.stringify([group, kind, namespace, name]);
    const earlier = first.get(key);
    if (earlier)
      twins.push({
        ...at,
        message: `${kind} "${name}" stands in document ${earlier.document} (line ${earlier.line}) too`,
      });
    else first.set(key, at);
  }
  return twins;
}

function firstKey(document: Document.Parsed): number | undefined {
  return document.contents?.range?.[0];
}

function offsetOf(document: Document.Parsed, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    if (!isMap(parent)) continue;
    const pair = parent.items.find(
      (item) => String((item.key as { value?: unknown } | null)?.value) === path[length - 1],
    );
    const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range;
    if (range) return range[0];
  }
  return firstKey(document);
}

function firstLine(message: string): string {
  return message.split('\n')[0]?.slice(0, 500) ?? '';
}
