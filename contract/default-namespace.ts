import { isNamespaced } from './kind-scope.ts';
import { groupOf, kindName } from './object-key.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Puts the objects that name no namespace into this one; an empty namespace changes nothing. It leaves out the kinds that are known to
 * be cluster-scoped: those of Kubernetes itself, and those that one of the objects defines so. Other kinds are known to the clusters
 * only: an agent drops the namespace of an object whose kind is cluster-scoped there.
 */
export function inDefaultNamespace<Manifest extends object>(
  objects: readonly Manifest[],
  namespace: string,
): readonly Manifest[] {
  if (namespace === '') return objects;
  const clusterScoped = new Set(objects.flatMap(definedClusterScoped));
  return objects.map((object) => {
    const { apiVersion, kind, metadata } = object as Json;
    if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !isMap(metadata) || metadata.namespace)
      return object;
    const name = kindName({ apiVersion, kind });
    if (isNamespaced(name) === false || clusterScoped.has(name)) return object;
    return { ...object, metadata: sorted({ ...metadata, namespace }) };
  });
}

/** Returns the kind that a CustomResourceDefinition defines as cluster-scoped, as `kindName` does. */
function definedClusterScoped(object: object): string[] {
  const { apiVersion, kind, spec } = object as Json;
  if (kind !== 'CustomResourceDefinition' || typeof apiVersion !== 'string' || !isMap(spec)) return [];
  if (groupOf(apiVersion) !== 'apiextensions.k8s.io' || spec.scope !== 'Cluster') return [];
  const { group, names } = spec;
  return isMap(names) ? [`${String(group)}/${String(names.kind)}`] : [];
}

/** Orders the keys, as the canonical form of a manifest has them. */
function sorted(map: Json): Json {
  return Object.fromEntries(Object.entries(map).sort(([left], [right]) => (left < right ? -1 : 1)));
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
