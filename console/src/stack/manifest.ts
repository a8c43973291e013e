import { parseAllDocuments, stringify } from 'yaml';
import type { ObjectRef } from '../../../gen/brokkr/v1/object_pb.ts';

/** A Kubernetes object as text, for people. */
export interface Shown {
  /** "apps/v1 Deployment demo/web": the same in two revisions for the same object. */
  readonly key: string;
  readonly ref: Omit<ObjectRef, '$typeName'>;
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

/** The objects that somebody wrote; those in a List one by one. Throws, with the place, when it is not YAML. */
export function objectsIn(yaml: string): Json[] {
  return parseAllDocuments(yaml)
    .flatMap((document) => {
      const [problem] = document.errors;
      if (problem) throw problem;
      const value: unknown = document.toJS({ maxAliasCount: 100 });
      const { kind, items } = (value ?? {}) as { kind?: unknown; items?: unknown };
      return kind === 'List' && Array.isArray(items) ? (items as unknown[]) : [value];
    })
    .filter((value): value is Json => typeof value === 'object' && value !== null);
}

/** A whole manifest as YAML, to be edited. */
export function toYaml(objects: readonly Json[]): string {
  return objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n');
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
  const text = stringify(secret ? withoutValues(object) : object, { lineWidth: 0, sortMapEntries: true });
  const hidden = secret ? JSON.stringify([object.data, object.stringData]) : '';
  return {
    key: `${apiVersion} ${kind} ${namespace}/${name}`,
    ref: { apiVersion, kind, namespace, name },
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
