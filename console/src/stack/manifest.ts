import { Document, parseAllDocuments, type Tags, visit } from 'yaml';
import { keyOf, type ObjectId } from '../../../contract/object-key.ts';

/** A Kubernetes object as it is displayed. */
export interface DisplayedObject {
  /** Identifies the object across revisions: "apps/v1 Deployment demo/web". */
  readonly key: string;
  readonly ref: ObjectId;
  /** YAML with the values of a Secret hidden. */
  readonly text: string;
  /** The hidden values of a Secret, compared to detect changes; '' for other kinds. */
  readonly secretValues: string;
}

type Json = Readonly<Record<string, unknown>>;

/** Decodes a manifest as the broker stores it: one JSON object per line. */
export function decodeObjects(manifest: Uint8Array): Json[] {
  return new TextDecoder()
    .decode(manifest)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Json);
}

/**
 * YAML 1.1 as the broker and kubectl read it: `yes` is true and 0644 is octal, but timestamps and the special collections are not
 * supported.
 */
const yamlOptions = {
  version: '1.1',
  schema: 'yaml-1.1',
  merge: true,
  customTags: (tags: Tags) =>
    tags.filter(
      (tag) =>
        typeof tag === 'string' ||
        !(/:(timestamp|omap|pairs|set)$/.test(tag.tag) || ('format' in tag && tag.format === 'TIME')),
    ),
} as const;
/** The broker reads this as an octal number, but the YAML 1.1 writer leaves it unquoted. */
const octalText = /^[-+]?0o[0-7_]+$/;
const maxAliases = 100;

/** Parses the objects of a YAML or JSON text and unpacks Lists. Throws an error with line and column when it is invalid. */
export function parseObjects(yaml: string): Json[] {
  return [...parseAllDocuments(yaml, yamlOptions)]
    .flatMap((document) => {
      const [problem] = document.errors;
      if (problem) throw problem;
      const value: unknown = document.toJS({ maxAliasCount: maxAliases });
      const { kind, items } = (value ?? {}) as { kind?: unknown; items?: unknown };
      return kind === 'List' && Array.isArray(items) ? (items as unknown[]) : [value];
    })
    .filter((value): value is Json => typeof value === 'object' && value !== null);
}

/** Formats a whole manifest as YAML for editing. */
export function manifestToYaml(objects: readonly Json[]): string {
  return objects.map(objectToYaml).join('---\n');
}

/** Formats an object as YAML; strings that would be read as another type are quoted. */
function objectToYaml(object: Json): string {
  const document = new Document(object, { ...yamlOptions, sortMapEntries: true });
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'string' && octalText.test(node.value)) node.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString({ lineWidth: 0 });
}

/** Converts an object to its displayed form. */
export function toDisplayed(object: Json): DisplayedObject {
  const {
    apiVersion = '',
    kind = '',
    metadata,
  } = object as { apiVersion?: string; kind?: string; metadata?: { name?: string; namespace?: string } };
  const { name = '', namespace = '' } = metadata ?? {};
  const secret = kind === 'Secret' && apiVersion === 'v1';
  const text = objectToYaml(secret ? withoutValues(object) : object);
  const secretValues = secret ? JSON.stringify([object.data, object.stringData]) : '';
  const ref = { apiVersion, kind, namespace, name };
  return {
    key: keyOf(ref),
    ref,
    text,
    secretValues,
  };
}

function withoutValues(secret: Json): Json {
  const hide = (values: unknown) =>
    values && typeof values === 'object'
      ? Object.fromEntries(Object.keys(values).map((key) => [key, '(hidden)']))
      : values;
  return {
    ...secret,
    ...(secret.data !== undefined && { data: hide(secret.data) }),
    ...(secret.stringData !== undefined && { stringData: hide(secret.stringData) }),
  };
}
