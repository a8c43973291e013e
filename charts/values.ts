import { type Document, isMap, isScalar, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';

/** A value of a chart, read from values.yaml, the only place that describes it. */
export interface ChartValue {
  /** Path of keys, such as `image.tag`. */
  readonly path: readonly string[];
  readonly default: unknown;
  /** The comment above the value; empty without one. */
  readonly description: string;
  readonly constraints: ValueConstraints;
}

/** Constraints on a value beyond its default: lines of its comment that start with `@`. */
interface ValueConstraints {
  /** `@enum A B`: one of these values. */
  readonly enum?: readonly string[];
  /** `@type integer string`: one of these types, instead of the default's. */
  readonly type?: readonly string[];
  /** `@items string`: type of the items of a list. */
  readonly items?: string;
  /** `@whole`: a map that is documented as one value and may have any content. */
  readonly whole?: true;
}

/** A JSON schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Reads the values of a values.yaml in their order. Throws for an unknown constraint. */
export function readValues(text: string): ChartValue[] {
  const document = parseDocument(text);
  return isMap<Node, Node>(document.contents) ? valuesIn(document, document.contents, []) : [];
}

function valuesIn(document: Document, map: YAMLMap<Node, Node>, parentPath: readonly string[]): ChartValue[] {
  return map.items.flatMap((pair, index) => {
    const path = [...parentPath, isScalar(pair.key) ? String(pair.key.value) : ''];
    const { description, constraints } = readComment(commentOf(pair, index === 0 ? map : undefined));
    const { value } = pair;
    if (isMap<Node, Node>(value) && value.items.length > 0 && !constraints.whole)
      return valuesIn(document, value, path);
    return [{ path, default: value?.toJS(document), description, constraints }];
  });
}

/** Returns the comment of a value. The parser attaches the first comment within a map to the map. */
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
      throw new Error(`values.yaml: @${name} is not a constraint`);
  }
}

/** Builds the schema by which Helm validates the values of an installation. It rejects unknown values. */
export function schemaOf(values: readonly ChartValue[]): JsonSchema {
  // Values that Helm adds for the library chart that both charts share.
  const libraryValues = { global: { type: 'object' }, parts: { type: 'object' } };
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...objectOf(values, 0, libraryValues) };
}

function objectOf(values: readonly ChartValue[], depth: number, additional: JsonSchema = {}): JsonSchema {
  const byName = Map.groupBy(values, ({ path }) => path[depth] ?? '');
  const properties = [...byName].map(([name, below]) => {
    const [only] = below;
    return [name, only?.path.length === depth + 1 ? leafOf(only) : objectOf(below, depth + 1)] as const;
  });
  return {
    type: 'object',
    additionalProperties: false,
    properties: { ...Object.fromEntries(properties), ...additional },
  };
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
