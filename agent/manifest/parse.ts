import { createHash } from 'node:crypto';
import {
  checksumAnnotation,
  idOf,
  isCustomResourceDefinition,
  isRecord,
  type KindId,
  type KubeObject,
  keyOf,
  listAt,
  type ObjectId,
  stackLabel,
  textAt,
} from '../object/kube-object.ts';

/** One object of a manifest, before it is known whether its kind is namespaced. */
export interface ManifestObject {
  readonly object: KubeObject;
  /** First 32 hex digits of the SHA-256 of the object's line. */
  readonly checksum: string;
}

export interface Scope {
  /** Where objects without a namespace go. */
  readonly defaultNamespace: string;
  /** When set, nothing outside of it is touched. */
  readonly watchNamespace: string | undefined;
}

export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/**
 * Reads a manifest: one Kubernetes object as JSON a line, whose SHA-256 (hex) must be `checksum`. Throws a ManifestError, which
 * names lines but no content.
 */
export function parseManifest(data: Uint8Array, checksum: string): ManifestObject[] {
  const found = createHash('sha256').update(data).digest('hex');
  if (found !== checksum) throw new ManifestError(`the manifest's checksum is ${found}, not ${checksum}`);
  const seen = new Set<string>();
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    .toString('utf8')
    .split('\n')
    .flatMap((line, index) => {
      if (line === '') return [];
      const object = parseLine(line, index + 1);
      const key = keyOf(idOf(object));
      if (seen.has(key)) throw new ManifestError(`line ${index + 1} of the manifest names an object a second time`);
      seen.add(key);
      return [{ object, checksum: createHash('sha256').update(line).digest('hex').slice(0, 32) }];
    });
}

/**
 * Keys under which the cluster may know these objects. Without asking the cluster which kinds are namespaced, an object counts both
 * as cluster-scoped and as one in its namespace: at most one of the two can exist.
 */
export function desiredKeys(objects: readonly ManifestObject[], { defaultNamespace }: Scope): Set<string> {
  const keys = new Set<string>();
  for (const { object } of objects) {
    const id = idOf(object);
    keys.add(keyOf({ ...id, namespace: '' }));
    keys.add(keyOf({ ...id, namespace: id.namespace || defaultNamespace }));
  }
  return keys;
}

/** Puts an object where it belongs. Answers why it cannot be there, in a namespace-limited agent. */
export function placeObject(
  object: KubeObject,
  namespaced: boolean,
  scope: Scope,
): { readonly object: KubeObject } | { readonly refusal: string } {
  const { defaultNamespace, watchNamespace } = scope;
  const { namespace: given, ...metadata } = object.metadata;
  if (!namespaced) {
    if (watchNamespace !== undefined)
      return { refusal: `is cluster-scoped, but this agent is limited to the namespace ${watchNamespace}` };
    return { object: { ...object, metadata } };
  }
  const namespace = given || defaultNamespace;
  if (watchNamespace !== undefined && namespace !== watchNamespace) {
    return {
      refusal: `is in the namespace ${namespace}, but this agent is limited to the namespace ${watchNamespace}`,
    };
  }
  return { object: { ...object, metadata: { ...metadata, namespace } } };
}

/** The object with the marks that tell whose it is and what it was applied from. */
export function stampObject(object: KubeObject, stackId: string, checksum: string): KubeObject {
  const { labels, annotations } = object.metadata;
  return {
    ...object,
    metadata: {
      ...object.metadata,
      labels: { ...labels, [stackLabel]: stackId },
      annotations: { ...annotations, [checksumAnnotation]: checksum },
    },
  };
}

export interface Definition {
  readonly id: ObjectId;
  readonly group: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** The custom kinds that a manifest defines itself. */
export function definitionsIn(objects: readonly ManifestObject[]): Definition[] {
  return objects.flatMap(({ object }) => {
    const id = idOf(object);
    if (!isCustomResourceDefinition(id)) return [];
    const group = textAt(object, 'spec', 'group') ?? '';
    const kind = textAt(object, 'spec', 'names', 'kind') ?? '';
    return [{ id, group, kind, namespaced: textAt(object, 'spec', 'scope') === 'Namespaced' }];
  });
}

/** The kind that a definition serves, in each of its versions: what to look for when its instances matter. */
export function servedVersions(definition: KubeObject): KindId[] {
  const group = textAt(definition, 'spec', 'group') ?? '';
  const kind = textAt(definition, 'spec', 'names', 'kind') ?? '';
  return listAt(definition, 'spec', 'versions').flatMap((version) => {
    const name = textAt(version, 'name');
    return name !== undefined && isRecord(version) && version.served === true
      ? [{ apiVersion: `${group}/${name}`, kind }]
      : [];
  });
}

function parseLine(line: string, number: number): KubeObject {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ManifestError(`line ${number} of the manifest is not JSON`);
  }
  if (
    !isRecord(value) ||
    typeof value.apiVersion !== 'string' ||
    typeof value.kind !== 'string' ||
    !textAt(value, 'metadata', 'name')
  ) {
    throw new ManifestError(`line ${number} of the manifest is not a Kubernetes object`);
  }
  return value as unknown as KubeObject;
}
