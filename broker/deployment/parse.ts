import { createHash } from 'node:crypto';
import { type Document, LineCounter } from 'yaml';
import { toCanonical, UnsupportedValue } from './canonical.ts';
import { checkObject, identity, type ManifestObject, type ObjectIdentity } from './object.ts';
import { composeYaml, conversionMessage, findProblems, offsetOf, plainValue } from './yaml.ts';

/** The limits of a submission; beyond each, it is refused. */
export const limits = {
  submissionBytes: 8 << 20,
  objectBytes: 2 << 20,
  objects: 5_000,
  violations: 20,
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
}

export type ParseResult = ParsedManifest | { readonly violations: readonly Violation[] };

/** An object and its place in the submission. */
interface LocatedObject {
  readonly object: ManifestObject;
  readonly place: { readonly document: number; readonly line: number };
  readonly json: string;
}

/**
 * Parses a submission as kubectl does, checks every document and returns the canonical form. It reads all documents, so that one answer
 * names all problems (at most 20). Pure but slow: call it in a worker thread.
 */
export function parseManifest(bytes: Uint8Array): ParseResult {
  const text = decode(bytes);
  if (typeof text !== 'string') return { violations: [text] };
  const lines = new LineCounter();
  const documents = composeYaml(text, lines);
  if (!Array.isArray(documents)) return { violations: [{ document: 1, line: 1, message: documents.message }] };
  const violations: Violation[] = [];
  const objects: LocatedObject[] = [];
  let total = 0;
  for (const [index, document] of documents.entries()) {
    const lineAt = (offset: number) => lines.linePos(offset).line;
    const bad = (message: string, offset: number) =>
      violations.push({ document: index + 1, line: lineAt(offset), message });
    for (const found of readDocument(document, bad)) {
      const { length } = Buffer.from(found.json);
      total += length;
      if (length > limits.objectBytes)
        bad(`the object has ${length} bytes; at most ${limits.objectBytes} are allowed`, found.offset);
      else if (total <= limits.submissionBytes && objects.length <= limits.objects)
        objects.push({ ...found, place: { document: index + 1, line: lineAt(found.offset) } });
    }
    const isOverLimit = total > limits.submissionBytes || objects.length > limits.objects;
    if (total > limits.submissionBytes)
      bad(`the objects have more than ${limits.submissionBytes} bytes`, offsetOf(document, []));
    if (objects.length > limits.objects) bad(`there are more than ${limits.objects} objects`, offsetOf(document, []));
    if (isOverLimit || violations.length >= limits.violations) break;
  }
  violations.push(...findDuplicates(objects));
  if (violations.length > 0) return { violations: violations.slice(0, limits.violations) };
  return toParsedManifest(objects);
}

/** Reads the objects of one document: none of an empty one, or of one with problems, which are reported to `bad`. */
function readDocument(
  document: Document.Parsed,
  bad: (message: string, offset: number) => void,
): { object: ManifestObject; json: string; offset: number }[] {
  const problems = findProblems(document);
  for (const { message, offset } of problems) bad(message, offset);
  if (problems.length > 0) return [];
  try {
    const value = toCanonical(plainValue(document));
    if (value === null) return [];
    return flatten(value).flatMap(({ item, path }) => {
      const checked = checkObject(item);
      if (!Array.isArray(checked))
        return [{ object: checked, json: JSON.stringify(checked), offset: offsetOf(document, path) }];
      for (const problem of checked) bad(problem.message, offsetOf(document, [...path, ...problem.path]));
      return [];
    });
  } catch (error) {
    bad(conversionMessage(error), offsetOf(document, error instanceof UnsupportedValue ? error.path : []));
    return [];
  }
}

function toParsedManifest(objects: readonly { object: ManifestObject; json: string }[]): ParsedManifest {
  const data = Buffer.from(objects.map(({ json }) => `${json}\n`).join(''));
  return {
    data,
    checksum: createHash('sha256').update(data).digest(),
    objects: objects.map(({ object }) => identity(object)),
    kinds: [...new Set(objects.map(({ object }) => `${object.apiVersion}/${object.kind}`))].sort(),
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

/** Replaces `kind: List`, and other kinds of lists, by their items, as kubectl does. */
function flatten(value: unknown): { item: unknown; path: (string | number)[] }[] {
  const list = value as { kind?: unknown; items?: unknown };
  return typeof list.kind === 'string' && list.kind.endsWith('List') && Array.isArray(list.items)
    ? list.items.map((item: unknown, index) => ({ item, path: ['items', index] }))
    : [{ item: value, path: [] }];
}

function findDuplicates(objects: readonly LocatedObject[]): Violation[] {
  const first = new Map<string, LocatedObject['place']>();
  const duplicates: Violation[] = [];
  for (const { object, place } of objects) {
    const { apiVersion, kind, namespace, name } = identity(object);
    // Two versions of a group name the same object.
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
    const key = JSON.stringify([group, kind, namespace, name]);
    const earlier = first.get(key);
    if (earlier)
      duplicates.push({
        ...place,
        message: `${kind} "${name}" is also in document ${earlier.document} (line ${earlier.line})`,
      });
    else first.set(key, place);
  }
  return duplicates;
}
