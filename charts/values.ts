import { type Document, isMap, isScalar, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';

/** One value of a chart, as its values.yaml declares it: the only place where a chart's values are described. */
export interface ChartValue {
  /** For example `image.tag`. */
  readonly path: readonly string[];
  readonly default: unknown;
  /** Empty when its name says it all. */
  readonly description: string;
  readonly constraints: ValueConstraints;
}

/** What a value may be, beyond what its default shows: lines of its comment that begin with `@`. */
interface ValueConstraints {
  /** `@enum A B`: one of these. */
  readonly enum?: readonly string[];
  /** `@type integer string`: any of these, instead of the default's type. */
  readonly type?: readonly string[];
  /** `@items string`: what a list has. */
  readonly items?: string;
  /** `@whole`: a map that is told as one value, and may hold anything. */
  readonly whole?: true;
}

/** A JSON schema, as far as one is needed. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Reads a values.yaml, in its order. Throws for a fact that it does not know. */
export function readValues(text: string): ChartValue[] {
  const document = parseDocument(text);
  return isMap<Node, Node>(document.contents) ? valuesIn(document, document.contents, []) : [];
}

function valuesIn(document: Document, map: YAMLMap<Node, Node>, above: readonly string[]): ChartValue[] {
  return map.items.flatMap((pair, index) => {
    const path = [...above, isScalar(pair.key) ? String(pair.key.value) : ''];
    const { description, constraints } = readComment(commentOf(pair, index === 0 ? map : undefined));
    const { value } = pair;
    if (isMap<Node, Node>(value) && value.items.length > 0 && !constraints.whole)
      return valuesIn(document, value, path);
    return [{ path, default: value?.toJS(document), description, constraints }];
  });
}

/** The parser gives a map's first comment to the map. */
function commentOf({ key }: Pair<Node, Node | null>, map: Node | undefined): string {
  return map?.commentBefore ?? key.commentBefore ?? '';
}

function readComment(comment: string): Pick<ChartValue, 'description' | 'constraints'> {
  const lines = comment.split('\n').map((line) => line.trim());
  const constraints = lines.filter((line) => line.startsWith('@')).map(readConstraint);
  const text = lines.filter((line) => !line.startsWith('@')).join(' ');
  return { description: text.trim(), constraints: Object.assign({}, ...constraints) as ValueConstraints };
}

function readConstraint(line: string): ValueConstraints {
  const [name, ...words] = line.slice(1).split(/\s+/);
  switch (name) {
    case 'enum':
      return { enum: words.map((word) => (word === "''" ? '' : word)) };
    case 'type':
      return { type: words };
    case 'items':
      return { items: words.join(' ') };
    case 'whole':
      return { whole: true };
    default:
      throw new Error(`values.yaml: @${name} is not a fact`);
  }
}

/** The schema that Helm holds the values of an installation against: nothing that the chart does not know. */
export function schemaOf(values: readonly ChartValue[]): JsonSchema {
  // What Helm itself adds for the library that both charts share.
  const helms = { global: { type: 'object' }, parts: { type: 'object' } };
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...objectOf(values, 0, helms) };
}

function objectOf(values: readonly ChartValue[], depth: number, more: JsonSchema = {}): JsonSchema {
  const byName = Map.groupBy(values, ({ path }) => path[depth] ?? '');
  const properties = [...byName].map(([name, below]) => {
    const [only] = below;
    return [name, only?.path.length === depth + 1 ? leafOf(only) : objectOf(below, depth + 1)] as const;
  });
  return { type: 'object', additionalProperties: false, properties: { ...Object.fromEntries(properties), ...more } };
}

function leafOf({ default: value, description, constraints }: ChartValue): JsonSchema {
  const described = description === '' ? {} : { description: description };
  if (constraints.enum) return { ...described, enum: constraints.enum };
  const type = constraints.type ?? typeOf(value);
  return { ...described, type, ...(constraints.items !== undefined && { items: { type: constraints.items } }) };
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}
