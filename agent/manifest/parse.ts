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

/** One object of a manifest. Its namespace is not filled in yet, because only the cluster knows whether its kind is namespaced. */
export interface ManifestObject {
  readonly object: KubeObject;
  /** First 32 hex digits of the SHA-256 of the object's line. */
  readonly checksum: string;
}

/** The namespaces that the agent works in. */
export interface Scope {
  /** Namespace of objects that name none. */
  readonly defaultNamespace: string;
  /** When set, the agent touches nothing outside of this namespace. */
  readonly watchNamespace: string | undefined;
}

/** A manifest cannot be read. The message names lines, but quotes no content. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/**
 * Parses a manifest: one Kubernetes object as JSON in each line. Throws ManifestError unless its SHA-256 is `checksum` (hex), and
 * for lines that are no object or repeat one.
 */
export function parseManifest(data: Uint8Array, checksum: string): ManifestObject[] {
  const actual = createHash('sha256').update(data).digest('hex');
  if (actual !== checksum) throw new ManifestError(`the manifest's checksum is ${actual}, not ${checksum}`);
  const keys = new Set<string>();
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    .toString('utf8')
    .split('\n')
    .flatMap((line, index) => {
      if (line === '') return [];
      const object = parseLine(line, index + 1);
      const key = keyOf(idOf(object));
      if (keys.has(key)) throw new ManifestError(`line ${index + 1} of the manifest names an object a second time`);
      keys.add(key);
      return [{ object, checksum: createHash('sha256').update(line).digest('hex').slice(0, 32) }];
    });
}

/**
 * Returns the keys that these objects may have in the cluster. Each object gets two, as a cluster-scoped and as a namespaced one,
 * because only the cluster knows which kinds are namespaced; at most one of the two can exist.
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

/** Fills in an object's namespace. Returns a refusal when the agent is limited to another namespace. */
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

/** Returns the object with the label of its stack and the annotation with its checksum. */
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

/** A custom kind that a manifest defines. */
export interface Definition {
  /** Id of the CustomResourceDefinition. */
  readonly id: ObjectId;
  readonly group: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Returns the custom kinds that the manifest defines itself. */
export function definitionsIn(objects: readonly ManifestObject[]): Definition[] {
  return objects.flatMap(({ object }) => {
    const id = idOf(object);
    if (!isCustomResourceDefinition(id)) return [];
    const group = textAt(object, 'spec', 'group') ?? '';
    const kind = textAt(object, 'spec', 'names', 'kind') ?? '';
    return [{ id, group, kind, namespaced: textAt(object, 'spec', 'scope') === 'Namespaced' }];
  });
}

/** Returns the kind that a CustomResourceDefinition serves, once for each served version. */
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
