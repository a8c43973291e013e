import { isObject, type Json, type JsonObject } from './object.ts';

/**
 * Ownership of the members of a map or list: each by itself (`granular` maps; lists `set` or by the named keys), or
 * only together (`atomic`). The path holds field names only: `spec.template.spec.containers.env`.
 */
export type Ownership = 'granular' | 'atomic' | 'set' | readonly string[];
export type Shape = (path: string, list: boolean) => Ownership;

const listKeys: { readonly [name: string]: readonly string[] } = {
  addresses: ['type'],
  conditions: ['type'],
  containers: ['name'],
  env: ['name'],
  ephemeralContainers: ['name'],
  hostAliases: ['ip'],
  imagePullSecrets: ['name'],
  initContainers: ['name'],
  matchConditions: ['name'],
  ownerReferences: ['uid'],
  resourceClaims: ['name'],
  schedulingGates: ['name'],
  secrets: ['name'],
  topologySpreadConstraints: ['topologyKey', 'whenUnsatisfiable'],
  variables: ['name'],
  volumeDevices: ['devicePath'],
  volumeMounts: ['mountPath'],
  volumes: ['name'],
  webhooks: ['name'],
};

const atomicMaps: ReadonlySet<string> = new Set([
  'claimRef',
  'configMapKeyRef',
  'fieldRef',
  'labelSelector',
  'namespaceSelector',
  'nodeSelector',
  'objectSelector',
  'podSelector',
  'resourceFieldRef',
  'roleRef',
  'scaleTargetRef',
  'secretKeyRef',
  'selector',
]);

export const builtInShape: Shape = (path, list) => {
  const name = path.slice(path.lastIndexOf('.') + 1);
  if (!list) return atomicMaps.has(name) && path.startsWith('spec') ? 'atomic' : 'granular';
  if (path === 'metadata.finalizers') return 'set';
  if (path === 'spec.ports') return ['port', 'protocol'];
  if (/[cC]ontainers\.ports$/.test(path)) return ['containerPort', 'protocol'];
  return listKeys[name] ?? 'atomic';
};

/** Reads the shape from the `x-kubernetes-…` extensions of a custom resource's schema. */
export function schemaShape(schema: Json): Shape {
  const known = new Map<string, Ownership>();
  collect(schema, '', known);
  return (path, list) => {
    if (path.startsWith('metadata')) return builtInShape(path, list);
    return known.get(path) ?? (list ? 'atomic' : 'granular');
  };
}

function collect(schema: Json, path: string, known: Map<string, Ownership>): void {
  if (!isObject(schema)) return;
  const ownership = extensionOf(schema);
  if (ownership) known.set(path, ownership);
  if (isObject(schema.properties))
    for (const [name, member] of Object.entries(schema.properties))
      collect(member, path ? `${path}.${name}` : name, known);
  collect(schema.items, path, known);
}

function extensionOf(schema: JsonObject): Ownership | undefined {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] === 'map' && Array.isArray(keys)) return keys.map(String);
  if (schema['x-kubernetes-list-type'] === 'set') return 'set';
  return schema['x-kubernetes-map-type'] === 'atomic' ? 'atomic' : undefined;
}
