import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  Parser,
  type ScalarTag,
  type Tags,
  type YAMLMap,
} from 'yaml';
import { floatKey, maxInt64, numberTags } from './yaml-scalars.ts';

/** A problem at one place of the text. */
export interface YamlProblem {
  readonly offset: number;
  readonly message: string;
}

const maxDepth = 64;
const tooDeep = `is nested more than ${maxDepth} deep`;
const aliasesInDocument = 100;

/** Tags of YAML 1.1 that kubectl does not know, or whose values it reads by rules of its own. */
const replacedTags = /:(timestamp|omap|pairs|set|binary|int|float)$/;

/** Text encoded in base 64, which kubectl decodes. */
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
 * Splits a text into documents, each with its own errors, and reads scalars as kubectl does (YAML 1.1 as in sigs.k8s.io/yaml: 0644 is
 * octal, yes and on are true; JSON is YAML). Ends with a problem where the text cannot be split further. Documents are composed as they
 * are asked for, so that only one of them is in memory.
 */
export function* composeYaml(text: string, lineCounter: LineCounter): Generator<Document.Parsed | YamlProblem> {
  try {
    const composer = new Composer({
      version: '1.1',
      schema: 'yaml-1.1',
      customTags: asKubectl,
      merge: true,
      strict: true,
      // The library's check takes quadratic time; `findProblems` has its own.
      uniqueKeys: false,
      intAsBigInt: true,
      stringKeys: false,
    });
    yield* composer.compose(new Parser(lineCounter.addNewLine).parse(text)) as Iterable<Document.Parsed>;
  } catch (error) {
    yield { offset: 0, message: parserMessage(error) };
  }
}

function asKubectl(tags: Tags): Tags {
  const known = tags.filter((tag) => typeof tag === 'string' || !replacedTags.test(tag.tag));
  return [...numberTags, binary, ...known];
}

/**
 * Finds the problems of a document's text: the parser's errors and warnings, keys that are not scalars or occur twice, aliases without
 * an anchor, and too much depth. In order, each message once: one mistake can make the parser repeat itself at every later bracket.
 */
export function findProblems(document: Document.Parsed): YamlProblem[] {
  const problems = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    offset: pos[0],
    message: message.startsWith('Maximum call stack') ? tooDeep : firstLine(message),
  }));
  if (problems.length === 0) walk(document.contents, 0, problems, new Set());
  const messages = new Set<string>();
  return problems.filter(({ message }) => !messages.has(message) && messages.add(message));
}

/** Converts a document to a plain value. `conversionMessage` explains what it throws. */
export function plainValue(document: Document.Parsed): unknown {
  return document.toJS({ maxAliasCount: aliasesInDocument });
}

/** Explains to the author why a document could not be converted. */
export function conversionMessage(error: unknown): string {
  if (error instanceof ReferenceError && error.message.startsWith('Excessive alias count'))
    return `has more than ${aliasesInDocument} aliases, counting those of aliases`;
  return parserMessage(error);
}

/** Returns the offset at which the value at a path begins in the text, or the innermost value around it. */
export function offsetOf(document: Document.Parsed, path: readonly (string | number)[]): number {
  let offset = document.contents?.range?.[0] ?? document.range?.[0] ?? 0;
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
    offset = start ?? offset;
    node = isNodePair(child) ? child.value : child;
  }
  return offset;
}

function walk(node: unknown, depth: number, problems: YamlProblem[], anchors: Set<string>): void {
  const bad = (at: unknown, message: string) => problems.push({ offset: offsetOfNode(at), message });
  if (depth > maxDepth) {
    bad(node, tooDeep);
    return;
  }
  if (isAlias(node)) {
    if (!anchors.has(node.source)) bad(node, `alias *${node.source} has no anchor before it`);
    return;
  }
  if (isSeq(node)) for (const item of node.items) walk(item, depth + 1, problems, anchors);
  if (isMap(node)) walkMap(node, depth, problems, anchors);
  // Registered last, because an alias inside its own anchor would contain itself.
  const { anchor } = (node ?? {}) as { anchor?: string };
  if (anchor !== undefined) anchors.add(anchor);
}

function walkMap(node: YAMLMap, depth: number, problems: YamlProblem[], anchors: Set<string>): void {
  const bad = (at: unknown, message: string) => problems.push({ offset: offsetOfNode(at), message });
  const keys = new Set<string>();
  for (const pair of node.items) {
    const key = keyText(pair);
    if (key === undefined) bad(pair.key, 'a key must be a text, a number or a boolean');
    else if (keys.has(key)) bad(pair.key, `key "${key.slice(0, 100)}" occurs twice in one map`);
    else keys.add(key);
    // The library would format the number differently.
    if (isScalar(pair.key) && typeof pair.key.value === 'number') pair.key.value = key;
    const keyAnchor = (pair.key as { anchor?: string } | null)?.anchor;
    if (keyAnchor !== undefined) anchors.add(keyAnchor);
    walk(pair.value, depth + 1, problems, anchors);
  }
}

function offsetOfNode(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

/** Returns a key as JSON has it, as text. Undefined for a key that JSON cannot have, or an integer that kubectl refuses as a key. */
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

/** Explains an error of the parser. It recurses, so a RangeError means a depth far beyond any Kubernetes object. */
function parserMessage(error: unknown): string {
  if (error instanceof RangeError) return tooDeep;
  return firstLine(error instanceof Error ? error.message : String(error));
}

function firstLine(message: string): string {
  return message.split('\n')[0]?.slice(0, 500) ?? '';
}
