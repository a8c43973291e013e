import { createHash } from 'node:crypto';
import { type Document, LineCounter } from 'yaml';
import { inDefaultNamespace } from '../../contract/default-namespace.ts';
import { keyOf } from '../../contract/object-key.ts';
import { toCanonical, UnsupportedValue } from './canonical.ts';
import { withoutLiveFields } from './exported.ts';
import { splitJson } from './json-stream.ts';
import { checkObject, identity, isRecord, type ManifestObject, type ObjectIdentity } from './object.ts';
import { composeYaml, conversionMessage, findProblems, offsetOf, plainValue } from './yaml.ts';

/** The limits of a submission; beyond each, it is refused. */
export const limits = {
  /** Size of the text; far more than what is stored, since YAML has comments and indentation. */
  textBytes: 32 << 20,
  /** Size of the canonical form. */
  submissionBytes: 8 << 20,
  objectBytes: 2 << 20,
  objects: 5_000,
  violations: 20,
  warnings: 19,
} as const;

/** A problem of a submission and its place; documents and lines count from 1. */
export interface Violation {
  readonly document: number;
  readonly line: number;
  readonly message: string;
}

export interface ParsedManifest {
  /** The canonical form that is stored, hashed and sent: one object per line, as JSON with sorted keys. */
  readonly data: Uint8Array;
  readonly checksum: Uint8Array;
  readonly objects: readonly ObjectIdentity[];
  /** "apiVersion/Kind", sorted, without duplicates. */
  readonly kinds: readonly string[];
  /** Sentences about what was left out of the objects, at most 20. */
  readonly warnings: readonly string[];
}

export type ParseResult = ParsedManifest | { readonly violations: readonly Violation[] };

/** An object and its place in the submission. */
interface LocatedObject {
  readonly object: ManifestObject;
  readonly place: { readonly document: number; readonly line: number };
  readonly json: string;
  /** Paths of fields that were left out because only a live object has them. */
  readonly dropped: readonly string[];
}

/**
 * Parses a submission as kubectl does, checks every document and returns the canonical form, in which objects that name no namespace
 * have the given one. It reads all documents, so that one answer names all problems (at most 20). Pure but slow: call it in a worker
 * thread.
 */
export function parseManifest(bytes: Uint8Array, namespace = ''): ParseResult {
  const text = decode(bytes);
  if (typeof text !== 'string') return { violations: [text] };
  const violations: Violation[] = [];
  const objects: LocatedObject[] = [];
  const size = { bytes: 0, documents: 0 };
  for (const { text: part, firstLine } of splitJson(text) ?? [{ text, firstLine: 1 }]) {
    if (!readPart(part, firstLine, { objects, violations, size })) break;
  }
  const placed = placeObjects(objects, namespace);
  const placedBytes = placed.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0);
  if (placedBytes > limits.submissionBytes && size.bytes <= limits.submissionBytes)
    violations.push({ document: 1, line: 1, message: `the objects have more than ${limits.submissionBytes} bytes` });
  violations.push(...findDuplicates(placed));
  if (violations.length > 0) return { violations: violations.slice(0, limits.violations) };
  return toParsedManifest(placed);
}

/** Puts the objects that name no namespace into the given one. */
function placeObjects(objects: readonly LocatedObject[], namespace: string): readonly LocatedObject[] {
  if (namespace === '') return objects;
  const placed = inDefaultNamespace(
    objects.map(({ object }) => object),
    namespace,
  );
  return objects.map((located, index) => {
    const object = placed[index];
    return object && object !== located.object ? { ...located, object, json: JSON.stringify(object) } : located;
  });
}

/** Collects the objects and problems of a submission. */
interface Reading {
  readonly objects: LocatedObject[];
  readonly violations: Violation[];
  readonly size: { bytes: number; documents: number };
}

/** Reads all documents of one part of a submission. False when reading on is pointless. */
function readPart(text: string, firstLine: number, { objects, violations, size }: Reading): boolean {
  const lines = new LineCounter();
  const lineAt = (offset: number) => firstLine - 1 + (lines.linePos(offset).line || 1);
  for (const document of composeYaml(text, lines)) {
    size.documents += 1;
    if ('message' in document) {
      violations.push({ document: size.documents, line: lineAt(document.offset), message: document.message });
      return false;
    }
    const bad = (message: string, offset: number) =>
      violations.push({ document: size.documents, line: lineAt(offset), message });
    for (const found of readDocument(document, bad)) {
      const { length } = Buffer.from(found.json);
      size.bytes += length;
      if (length > limits.objectBytes)
        bad(`the object has ${length} bytes; at most ${limits.objectBytes} are allowed`, found.offset);
      else if (size.bytes <= limits.submissionBytes && objects.length <= limits.objects)
        objects.push({ ...found, place: { document: size.documents, line: lineAt(found.offset) } });
    }
    const isOverLimit = size.bytes > limits.submissionBytes || objects.length > limits.objects;
    if (size.bytes > limits.submissionBytes)
      bad(`the objects have more than ${limits.submissionBytes} bytes`, offsetOf(document, []));
    if (objects.length > limits.objects) bad(`there are more than ${limits.objects} objects`, offsetOf(document, []));
    if (isOverLimit || violations.length >= limits.violations) return false;
  }
  return true;
}

/** Reads the objects of one document: none of an empty one, or of one with problems, which are reported to `bad`. */
function readDocument(
  document: Document.Parsed,
  bad: (message: string, offset: number) => void,
): Omit<LocatedObject & { offset: number }, 'place'>[] {
  const problems = findProblems(document);
  for (const { message, offset } of problems) bad(message, offset);
  if (problems.length > 0) return [];
  try {
    const value = toCanonical(plainValue(document));
    if (value === null) return [];
    return flatten(value).flatMap(({ item, path }) => {
      const { object, dropped } = isRecord(item) ? withoutLiveFields(item) : { object: item, dropped: [] };
      const checked = checkObject(object);
      if (!Array.isArray(checked))
        return [{ object: checked, dropped, json: JSON.stringify(checked), offset: offsetOf(document, path) }];
      for (const problem of checked) bad(problem.message, offsetOf(document, [...path, ...problem.path]));
      return [];
    });
  } catch (error) {
    bad(conversionMessage(error), offsetOf(document, error instanceof UnsupportedValue ? error.path : []));
    return [];
  }
}

function toParsedManifest(objects: readonly LocatedObject[]): ParsedManifest {
  const data = Buffer.from(objects.map(({ json }) => `${json}\n`).join(''));
  return {
    data,
    checksum: createHash('sha256').update(data).digest(),
    objects: objects.map(({ object }) => identity(object)),
    kinds: [...new Set(objects.map(({ object }) => `${object.apiVersion}/${object.kind}`))].sort(),
    warnings: warningsOf(objects),
  };
}

function warningsOf(objects: readonly LocatedObject[]): string[] {
  const cleaned = objects.filter(({ dropped }) => dropped.length > 0);
  const warnings = cleaned.slice(0, limits.warnings).map(({ object, dropped }) => {
    const more = dropped.length > 10 ? ` and ${dropped.length - 10} more` : '';
    return `${object.kind} "${object.metadata.name}": ${dropped.slice(0, 10).join(', ')}${more} left out: only a live object has that`;
  });
  const rest = cleaned.length - warnings.length;
  return rest > 0 ? [...warnings, `and ${rest} more objects with fields that only a live object has`] : warnings;
}

function decode(bytes: Uint8Array): string | Violation {
  if (bytes.length > limits.textBytes) return { document: 1, line: 1, message: `more than ${limits.textBytes} bytes` };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const nul = text.indexOf('\0');
    // Concatenated files have a byte order mark at the head of a document; the decoder only removes the first one.
    if (nul < 0) return text.replace(/^(---[^\n]*\n)\uFEFF/gm, '$1');
    return { document: 1, line: text.slice(0, nul).split('\n').length, message: 'has a NUL character' };
  } catch {
    return { document: 1, line: 1, message: 'is not UTF-8' };
  }
}

/**
 * Replaces a list by its items, as kubectl does: `kind: List`, a list of one kind (such as ConfigMapList, whose items may omit kind and
 * apiVersion), or an array of objects.
 */
function flatten(value: unknown): { item: unknown; path: (string | number)[] }[] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => ({ item, path: [index] }));
  const list = value as { apiVersion?: unknown; kind?: unknown; items?: unknown };
  if (typeof list.kind !== 'string' || !list.kind.endsWith('List') || !('items' in list))
    return [{ item: value, path: [] }];
  if (list.items === null) return [];
  if (!Array.isArray(list.items)) return [{ item: value, path: [] }];
  const kind = list.kind.slice(0, -'List'.length);
  const defaults = kind === '' ? {} : { apiVersion: list.apiVersion, kind };
  return list.items.map((item: unknown, index) => ({
    item: isRecord(item) ? { ...defaults, ...item } : item,
    path: ['items', index],
  }));
}

function findDuplicates(objects: readonly LocatedObject[]): Violation[] {
  const first = new Map<string, LocatedObject['place']>();
  const duplicates: Violation[] = [];
  for (const { object, place } of objects) {
    const id = identity(object);
    // The key has no version, because two versions of a group name the same object.
    const key = keyOf(id);
    const earlier = first.get(key);
    if (earlier)
      duplicates.push({
        ...place,
        message: `${id.kind} "${id.name}" is also in document ${earlier.document} (line ${earlier.line})`,
      });
    else first.set(key, place);
  }
  return duplicates;
}
