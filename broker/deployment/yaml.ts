import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type ScalarTag,
  type Tags,
  type YAMLMap,
} from 'yaml';
import { floatKey, maxInt64, numberTags } from './yaml-scalars.ts';

/** What is wrong at one place of the text. */
export interface Slip {
  readonly offset: number;
  readonly message: string;
}

const maxDepth = 64;
const tooDeep = `is nested more than ${maxDepth} deep`;
const aliasesInDocument = 100;

/** Tags of YAML 1.1 that kubectl's reader does not know, and those whose numbers it reads by rules of its own. */
const replaced = /:(timestamp|omap|pairs|set|binary|int|float)$/;

/** Text kept in base 64; kubectl hands on the text. */
const binary: ScalarTag = {
  tag: 'tag:yaml.org,2002:binary',
  resolve: (text, onError) => {
    const bytes = Buffer.from(text, 'base64');
    if (bytes.toString('base64').replace(/=+$/, '') !== text.replace(/\s+/g, '').replace(/=+$/, ''))
      onError('is not base 64');
    return bytes.toString();
  },
};

/**
 * Splits a text into documents, each with its own errors, reading scalars as kubectl does (YAML 1.1 as in sigs.k8s.io/yaml: 0644 is
 * octal, yes and on are true; JSON is YAML). A slip for what cannot be split at all.
 */
export function composeYaml(text: string, lineCounter: LineCounter): Document.Parsed[] | Slip {
  try {
    const documents = parseAllDocuments(text, {
      version: '1.1',
      schema: 'yaml-1.1',
      customTags: asKubectl,
      merge: true,
      strict: true,
      // The library compares every key with every other; `findSlips` has its own way.
      uniqueKeys: false,
      intAsBigInt: true,
      stringKeys: false,
      lineCounter,
      prettyErrors: false,
    });
    return Array.isArray(documents) ? documents : [];
  } catch (error) {
    return { offset: 0, message: sayOverflow(error) };
  }
}

function asKubectl(tags: Tags): Tags {
  const known = tags.filter((tag) => typeof tag === 'string' || !replaced.test(tag.tag));
  return [...numberTags, binary, ...known];
}

/**
 * Finds what a document's text says wrongly: the parser's errors and warnings, keys that are no plain text or stand twice, aliases
 * without an anchor, depth. In order, each message once: one slip can make the parser say the same of every bracket after it.
 */
export function findSlips(document: Document.Parsed): Slip[] {
  const slips = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    offset: pos[0],
    message: message.startsWith('Maximum call stack') ? tooDeep : firstLine(message),
  }));
  if (slips.length === 0) walk(document.contents, 0, slips, new Set());
  const said = new Set<string>();
  return slips.filter(({ message }) => !said.has(message) && said.add(message));
}

/** The document as a plain value. Throws what `sayWhy` puts into words. */
export function plainValue(document: Document.Parsed): unknown {
  return document.toJS({ maxAliasCount: aliasesInDocument });
}

/** Why a document has no value, for the one who wrote it. */
export function sayWhy(error: unknown): string {
  if (error instanceof ReferenceError && error.message.startsWith('Excessive alias count'))
    return `has more than ${aliasesInDocument} aliases, counting those of aliases`;
  return sayOverflow(error);
}

/** Where the thing at a path begins in the text, or the nearest thing around it. */
export function offsetOf(document: Document.Parsed, path: readonly (string | number)[]): number {
  let found = document.contents?.range?.[0] ?? document.range?.[0] ?? 0;
  let node: unknown = document.contents;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    const child: unknown = isMap(node)
      ? node.items.find((pair) => keyText(pair) === String(step))
      : isSeq(node)
        ? node.items[Number(step)]
        : undefined;
    if (child === undefined) break;
    const start = (isNodePair(child) ? (child.key as Node) : (child as Node)).range?.[0];
    found = start ?? found;
    node = isNodePair(child) ? child.value : child;
  }
  return found;
}

function walk(node: unknown, depth: number, slips: Slip[], anchors: Set<string>): void {
  const bad = (at: unknown, message: string) => slips.push({ offset: offsetOfNode(at), message });
  if (depth > maxDepth) {
    bad(node, tooDeep);
    return;
  }
  if (isAlias(node)) {
    if (!anchors.has(node.source)) bad(node, `alias *${node.source} has no anchor before it`);
    return;
  }
  if (isSeq(node)) for (const item of node.items) walk(item, depth + 1, slips, anchors);
  if (isMap(node)) walkMap(node, depth, slips, anchors);
  // Only now: an alias inside would contain itself.
  const { anchor } = (node ?? {}) as { anchor?: string };
  if (anchor !== undefined) anchors.add(anchor);
}

function walkMap(node: YAMLMap, depth: number, slips: Slip[], anchors: Set<string>): void {
  const bad = (at: unknown, message: string) => slips.push({ offset: offsetOfNode(at), message });
  const keys = new Set<string>();
  for (const pair of node.items) {
    const key = keyText(pair);
    if (key === undefined) bad(pair.key, 'a key must be a text, a number or a boolean');
    else if (keys.has(key)) bad(pair.key, `key "${key.slice(0, 100)}" stands twice in one map`);
    else keys.add(key);
    // The library would write a number its own way.
    if (isScalar(pair.key) && typeof pair.key.value === 'number') pair.key.value = key;
    const named = (pair.key as { anchor?: string } | null)?.anchor;
    if (named !== undefined) anchors.add(named);
    walk(pair.value, depth + 1, slips, anchors);
  }
}

function offsetOfNode(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

/** A key as JSON has it: always text. Undefined for one that JSON cannot have, and for an integer that kubectl refuses as a key. */
function keyText(pair: Pair): string | undefined {
  if (!isScalar(pair.key)) return undefined;
  const { value } = pair.key;
  if (typeof value === 'symbol') return value.description;
  if (typeof value === 'number') return floatKey(value);
  if (typeof value === 'bigint') return value <= maxInt64 ? String(value) : undefined;
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : undefined;
}

function isNodePair(value: unknown): value is Pair {
  return typeof value === 'object' && value !== null && 'key' in value;
}

/** The parser recurses: what it cannot take is far deeper than any Kubernetes object. */
function sayOverflow(error: unknown): string {
  if (error instanceof RangeError) return tooDeep;
  return firstLine(error instanceof Error ? error.message : String(error));
}

function firstLine(message: string): string {
  return message.split('\n')[0]?.slice(0, 500) ?? '';
}
