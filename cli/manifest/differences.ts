import { createHash, randomBytes } from 'node:crypto';
import { createTwoFilesPatch } from 'diff';
import { parseAllDocuments } from 'yaml';
import type { ObjectId } from '../../contract/object-key.ts';
import { kubernetesYaml } from './yaml.ts';

/** A Kubernetes object of a manifest. */
export type ManifestObject = Readonly<Record<string, unknown>>;

/** The objects of a submission, those of lists by themselves. What cannot be read is left out: the broker says what is wrong. */
export function objectsOf(submission: Uint8Array): ManifestObject[] {
  return parseAllDocuments(Buffer.from(submission).toString(), { version: '1.1', logLevel: 'silent' }).flatMap(
    (document) => (document.errors.length > 0 ? [] : flattenLists(document.toJS({ maxAliasCount: 100 }) as unknown)),
  );
}

function flattenLists(value: unknown): ManifestObject[] {
  if (value === null || typeof value !== 'object') return [];
  const { kind, items } = value as ManifestObject;
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)
    ? items.flatMap(flattenLists)
    : [value as ManifestObject];
}

/** Reads the names of an object; those that are missing, or no text, are empty. */
export function idOf({ apiVersion, kind, metadata }: ManifestObject): ObjectId {
  const { name, namespace } = (metadata ?? {}) as ManifestObject;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return { apiVersion: text(apiVersion), kind: text(kind), namespace: text(namespace), name: text(name) };
}

/**
 * What changes from one object to another, as a patch of their YAML; undefined stands for none. Of Secrets the values are not shown,
 * only whether they differ.
 */
export function unifiedDiff(
  before: ManifestObject | undefined,
  after: ManifestObject | undefined,
  title: string,
): string {
  const patch = createTwoFilesPatch(`${title} (current)`, `${title} (new)`, yamlOf(before), yamlOf(after), '', '', {
    context: 3,
  });
  // Its first line only separates files.
  return patch.slice(patch.indexOf('\n') + 1).trimEnd();
}

function yamlOf(object: ManifestObject | undefined): string {
  if (!object) return '';
  return kubernetesYaml(object.kind === 'Secret' ? redactSecret(object) : object, { sorted: true });
}

function redactSecret(secret: ManifestObject): ManifestObject {
  const hide = (field: string) => {
    const values = secret[field];
    if (values === null || typeof values !== 'object') return {};
    const hidden = Object.entries(values).map(([key, value]) => {
      const print = createHash('sha256').update(redactionSalt).update(String(value)).digest('hex').slice(0, 8);
      return [key, `(hidden, ${print})`];
    });
    return { [field]: Object.fromEntries(hidden) };
  };
  return { ...secret, ...hide('data'), ...hide('stringData') };
}

/** A hash of a short value alone could be tried out; this one means nothing after the call. */
const redactionSalt = randomBytes(32);
