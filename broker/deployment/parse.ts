import { createHash } from 'node:crypto';
import { type Document, LineCounter } from 'yaml';
import { keyOf } from '../../contract/object-key.ts';
import { canonical, Unfit } from './canonical.ts';
import { withoutLiveFields } from './exported.ts';
import { splitJson } from './json-stream.ts';
import { checkObject, identity, isRecord, type ManifestObject, type ObjectIdentity } from './object.ts';
import { composeYaml, findSlips, offsetOf, plainValue, sayWhy } from './yaml.ts';

/** The limits of a submission; each is an answer, never a crash. */
export const limits = {
  submissionBytes: 8 << 20,
  objectBytes: 2 << 20,
  objects: 5_000,
  violations: 20,
  warnings: 19,
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
  /** Sentences on what was left out of the objects, at most 20. */
  readonly warnings: readonly string[];
}

export type ParseResult = ParsedManifest | { readonly violations: readonly Violation[] };

/** An object, and where it stands. */
interface Found {
  readonly object: ManifestObject;
  readonly at: { readonly document: number; readonly line: number };
  readonly json: string;
  /** Paths that were left out because only a live object has them. */
  readonly dropped: readonly string[];
}

/**
 * Reads a submission as kubectl reads it, checks every document, and makes the canonical form. All documents are looked at, so that
 * one answer names everything wrong (at most 20). Pure and slow: call it off the event loop.
 */
export function parseManifest(bytes: Uint8Array): ParseResult {
  const text = decode(bytes);
  if (typeof text !== 'string') return { violations: [text] };
  const violations: Violation[] = [];
  const objects: Found[] = [];
  const size = { bytes: 0, documents: 0 };
  for (const { text: part, firstLine } of splitJson(text) ?? [{ text, firstLine: 1 }]) {
    if (!readPart(part, firstLine, { objects, violations, size })) break;
  }
  violations.push(...findTwins(objects));
  if (violations.length > 0) return { violations: violations.slice(0, limits.violations) };
  return seal(objects);
}

/** What has been read so far. */
interface Reading {
  readonly objects: Found[];
  readonly violations: Violation[];
  readonly size: { bytes: number; documents: number };
}

/** Reads all documents of one part of a submission; false when there is no sense in reading on. */
function readPart(text: string, firstLine: number, { objects, violations, size }: Reading): boolean {
  const lines = new LineCounter();
  const lineAt = (offset: number) => firstLine - 1 + (lines.linePos(offset).line || 1);
  const documents = composeYaml(text, lines);
  if (!Array.isArray(documents)) {
    violations.push({ document: size.documents + 1, line: firstLine, message: documents.message });
    return false;
  }
  for (const document of documents) {
    size.documents += 1;
    const bad = (message: string, offset: number) =>
      violations.push({ document: size.documents, line: lineAt(offset), message });
    for (const found of readDocument(document, bad)) {
      const { length } = Buffer.from(found.json);
      size.bytes += length;
      if (length > limits.objectBytes)
        bad(`the object has ${length} bytes; at most ${limits.objectBytes} are allowed`, found.offset);
      else if (size.bytes <= limits.submissionBytes && objects.length <= limits.objects)
        objects.push({ ...found, at: { document: size.documents, line: lineAt(found.offset) } });
    }
    const tooMuch = size.bytes > limits.submissionBytes || objects.length > limits.objects;
    if (size.bytes > limits.submissionBytes)
      bad(`the objects have more than ${limits.submissionBytes} bytes`, offsetOf(document, []));
    if (objects.length > limits.objects) bad(`there are more than ${limits.objects} objects`, offsetOf(document, []));
    if (tooMuch || violations.length >= limits.violations) return false;
  }
  return true;
}

/** The objects of one document; none of a document that is empty or has something wrong, which `bad` is told. */
function readDocument(
  document: Document.Parsed,
  bad: (message: string, offset: number) => void,
): Omit<Found & { offset: number }, 'at'>[] {
  const slips = findSlips(document);
  for (const { message, offset } of slips) bad(message, offset);
  if (slips.length > 0) return [];
  try {
    const value = canonical(plainValue(document));
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
    bad(sayWhy(error), offsetOf(document, error instanceof Unfit ? error.path : []));
    return [];
  }
}

function seal(objects: readonly Found[]): ParsedManifest {
  const data = Buffer.from(objects.map(({ json }) => `${json}\n`).join(''));
  return {
    data,
    checksum: createHash('sha256').update(data).digest(),
    objects: objects.map(({ object }) => identity(object)),
    kinds: [...new Set(objects.map(({ object }) => `${object.apiVersion}/${object.kind}`))].sort(),
    warnings: warningsOf(objects),
  };
}

function warningsOf(objects: readonly Found[]): string[] {
  const cleaned = objects.filter(({ dropped }) => dropped.length > 0);
  const said = cleaned.slice(0, limits.warnings).map(({ object, dropped }) => {
    const more = dropped.length > 10 ? ` and ${dropped.length - 10} more` : '';
    return `${object.kind} "${object.metadata.name}": ${dropped.slice(0, 10).join(', ')}${more} left out: only a live object has that`;
  });
  const rest = cleaned.length - said.length;
  return rest > 0 ? [...said, `and ${rest} more objects with fields that only a live object has`] : said;
}

function decode(bytes: Uint8Array): string | Violation {
  if (bytes.length > limits.submissionBytes)
    return { document: 1, line: 1, message: `more than ${limits.submissionBytes} bytes` };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const nul = text.indexOf('\0');
    // Files put together by "cat" have a byte order mark at the head of a document; the decoder takes only the first away.
    if (nul < 0) return text.replace(/^(---[^\n]*\n)\uFEFF/gm, '$1');
    return { document: 1, line: text.slice(0, nul).split('\n').length, message: 'has a NUL character' };
  } catch {
    return { document: 1, line: 1, message: 'is not UTF-8' };
  }
}

/**
 * Lists stand for their items, as with kubectl: `kind: List`, a list of one kind (ConfigMapList), whose items need name neither kind
 * nor apiVersion, and an array of objects.
 */
function flatten(value: unknown): { item: unknown; path: (string | number)[] }[] {
  if (Array.isArray(value)) return value.map((item: unknown, at) => ({ item, path: [at] }));
  const list = value as { apiVersion?: unknown; kind?: unknown; items?: unknown };
  if (typeof list.kind !== 'string' || !list.kind.endsWith('List') || !('items' in list))
    return [{ item: value, path: [] }];
  if (list.items === null) return [];
  if (!Array.isArray(list.items)) return [{ item: value, path: [] }];
  const kind = list.kind.slice(0, -'List'.length);
  const defaults = kind === '' ? {} : { apiVersion: list.apiVersion, kind };
  return list.items.map((item: unknown, at) => ({
    item: isRecord(item) ? { ...defaults, ...item } : item,
    path: ['items', at],
  }));
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
