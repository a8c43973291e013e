import { Document, parseAllDocuments, type Tags, visit } from 'yaml';
import { manifestKeyOf, type ObjectId } from '../../../contract/object-key.ts';

/** A Kubernetes object as text, for people. */
export interface Shown {
  /** "apps/v1 Deployment demo/web": the same in two revisions for the same object. */
  readonly key: string;
  readonly ref: ObjectId;
  /** YAML, with the values of a Secret hidden. */
  readonly text: string;
  /** What the hidden values are, so that a change of them is seen. */
  readonly hidden: string;
}

type Json = Readonly<Record<string, unknown>>;

/** The objects of a manifest as the broker keeps it: one as JSON a line. */
export function objectsOf(manifest: Uint8Array): Json[] {
  return new TextDecoder()
    .decode(manifest)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Json);
}

/** YAML 1.1, as the broker and kubectl read it: `yes` is true, 0644 is octal. Without its times and collections, which they do not know. */
const asKubectl = {
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
/** Octal to them, but text to what writes YAML 1.1. */
const otherOctal = /^[-+]?0o[0-7_]+$/;
const aliases = 100;

/** The objects that somebody wrote; those in a List one by one. Throws, with the place, when it is not YAML. */
export function objectsIn(yaml: string): Json[] {
  return [...parseAllDocuments(yaml, asKubectl)]
    .flatMap((document) => {
      const [problem] = document.errors;
      if (problem) throw problem;
      const value: unknown = document.toJS({ maxAliasCount: aliases });
      const { kind, items } = (value ?? {}) as { kind?: unknown; items?: unknown };
      return kind === 'List' && Array.isArray(items) ? (items as unknown[]) : [value];
    })
    .filter((value): value is Json => typeof value === 'object' && value !== null);
}

/** A whole manifest as YAML, to be edited. */
export function toYaml(objects: readonly Json[]): string {
  return objects.map(yamlOf).join('---\n');
}

/** Text that could be read as something else is in quotes. */
function yamlOf(object: Json): string {
  const document = new Document(object, { ...asKubectl, sortMapEntries: true });
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'string' && otherOctal.test(node.value)) node.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString({ lineWidth: 0 });
}

/** How an object is shown. */
export function shown(object: Json): Shown {
  const {
    apiVersion = '',
    kind = '',
    metadata,
  } = object as { apiVersion?: string; kind?: string; metadata?: { name?: string; namespace?: string } };
  const { name = '', namespace = '' } = metadata ?? {};
  const secret = kind === 'Secret' && apiVersion === 'v1';
  const text = yamlOf(secret ? withoutValues(object) : object);
  const hidden = secret ? JSON.stringify([object.data, object.stringData]) : '';
  const ref = { apiVersion, kind, namespace, name };
  return {
    key: manifestKeyOf(ref),
    ref,
    text,
    hidden,
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
