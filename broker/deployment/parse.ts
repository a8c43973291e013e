import { createHash } from 'node:crypto';
import { type Document, LineCounter } from 'yaml';
import { keyOf } from '../../contract/object-key.ts';
import { canonical, Unfit } from './canonical.ts';
import { checkObject, identity, type ManifestObject, type ObjectIdentity } from './object.ts';
import { composeYaml, findSlips, offsetOf, plainValue, sayWhy } from './yaml.ts';

/** The limits of a submission; each is an answer, never a crash. */
export const limits = {
  submissionBytes: 8 << 20,
  objectBytes: 2 << 20,
  objects: 5_000,
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

/** An object, and where it stands. */
interface Found {
  readonly object: ManifestObject;
  readonly at: { readonly document: number; readonly line: number };
  readonly json: string;
}

/**
 * Reads a submission as kubectl reads it, checks every document, and makes the canonical form. All documents are looked at, so that
 * one answer names everything wrong (at most 20). Pure and slow: call it off the event loop.
 */
export function parseManifest(bytes: Uint8Array): ParseResult {
  const text = decode(bytes);
  if (typeof text !== 'string') return { violations: [text] };
  const lines = new LineCounter();
  const documents = composeYaml(text, lines);
  if (!Array.isArray(documents)) return { violations: [{ document: 1, line: 1, message: documents.message }] };
  const violations: Violation[] = [];
  const objects: Found[] = [];
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
        objects.push({ ...found, at: { document: index + 1, line: lineAt(found.offset) } });
    }
    const tooMuch = total > limits.submissionBytes || objects.length > limits.objects;
    if (total > limits.submissionBytes)
      bad(`the objects have more than ${limits.submissionBytes} bytes`, offsetOf(document, []));
    if (objects.length > limits.objects) bad(`there are more than ${limits.objects} objects`, offsetOf(document, []));
    if (tooMuch || violations.length >= limits.violations) break;
  }
  violations.push(...findTwins(objects));
  if (violations.length > 0) return { violations: violations.slice(0, limits.violations) };
  return seal(objects);
}

/** The objects of one document; none of a document that is empty or has something wrong, which `bad` is told. */
function readDocument(
  document: Document.Parsed,
  bad: (message: string, offset: number) => void,
): { object: ManifestObject; json: string; offset: number }[] {
  const slips = findSlips(document);
  for (const { message, offset } of slips) bad(message, offset);
  if (slips.length > 0) return [];
  try {
    const value = canonical(plainValue(document));
    if (value === null) return [];
    return flatten(value).flatMap(({ item, path }) => {
      const checked = checkObject(item);
      if (!Array.isArray(checked))
        return [{ object: checked, json: JSON.stringify(checked), offset: offsetOf(document, path) }];
      for (const problem of checked) bad(problem.message, offsetOf(document, [...path, ...problem.path]));
      return [];
    });
  } catch (error) {
    bad(sayWhy(error), offsetOf(document, error instanceof Unfit ? error.path : []));
    return [];
  }
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

/** `kind: List` and its likes stand for their items, as with kubectl. */
function flatten(value: unknown): { item: unknown; path: (string | number)[] }[] {
  const list = value as { kind?: unknown; items?: unknown };
  return typeof list.kind === 'string' && list.kind.endsWith('List') && Array.isArray(list.items)
    ? list.items.map((item: unknown, at) => ({ item, path: ['items', at] }))
    : [{ item: value, path: [] }];
}

function findTwins(objects: readonly Found[]): Violation[] {
  const first = new Map<string, Found['at']>();
  const twins: Violation[] = [];
  for (const { object, at } of objects) {
    const id = identity(object);
    // The key has no version: the same object may be written in two versions of its group.
    const key = keyOf(id);
    const earlier = first.get(key);
    if (earlier)
      twins.push({
        ...at,
        message: `${id.kind} "${id.name}" stands in document ${earlier.document} (line ${earlier.line}) too`,
      });
    else first.set(key, at);
  }
  return twins;
}
