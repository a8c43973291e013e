import { groupOf, isRecord, type KubeObject } from '../object/kube-object.ts';

/** Groups of the kinds that Kubernetes itself defines; their kinds have no field in which null means anything. */
const builtInGroups: ReadonlySet<string> = new Set([
  ...['', 'apps', 'autoscaling', 'batch', 'extensions', 'policy'],
  ...[
    'admissionregistration',
    'apiextensions',
    'apiregistration',
    'certificates',
    'coordination',
    'discovery',
    'events',
    'flowcontrol.apiserver',
    'networking',
    'node',
    'rbac.authorization',
    'resource',
    'scheduling',
    'storage',
    'storagemigration',
  ].map((name) => `${name}.k8s.io`),
]);

/**
 * Returns the object as it is applied. Fields that are null count as left out, as with `kubectl apply`, because an applied null would
 * not be recognised as the default that stands for it; objects of custom kinds keep theirs, which may mean something. The texts in a
 * Secret's `stringData` become `data`, since the API server stores them there without making the applier their owner. The `rules` of an
 * aggregated ClusterRole are left to the controller that writes them.
 */
export function appliedForm(object: KubeObject): KubeObject {
  if (!isBuiltIn(object)) return object;
  const given = withoutNulls(object) as KubeObject;
  if (isSecret(given)) return withEncodedTexts(given);
  return isAggregated(given) ? withoutRules(given) : given;
}

/** Returns whether a controller writes the rules of this role, from the roles that it selects. */
function isAggregated({ kind, apiVersion, aggregationRule }: KubeObject): boolean {
  return kind === 'ClusterRole' && groupOf(apiVersion) === 'rbac.authorization.k8s.io' && isRecord(aggregationRule);
}

function withoutRules({ rules: _, ...rest }: KubeObject): KubeObject {
  return rest as unknown as KubeObject;
}

/** Returns whether Kubernetes itself defines the kind. */
export function isBuiltIn({ apiVersion }: Pick<KubeObject, 'apiVersion'>): boolean {
  return builtInGroups.has(groupOf(apiVersion));
}

/** Returns whether this is a Secret of Kubernetes itself. */
export function isSecret({ apiVersion, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): boolean {
  return kind === 'Secret' && apiVersion === 'v1';
}

/** Leaves out the fields of maps that are null; items of lists stay, since leaving one out would move the others. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(withoutNulls);
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  if (!isRecord(value)) return value;
  const entries = Object.entries(value);
  const kept = entries.flatMap(([name, inner]): [string, unknown][] =>
    inner === null ? [] : [[name, withoutNulls(inner)]],
  );
  const isSame = kept.length === entries.length && kept.every(([name, inner]) => inner === value[name]);
  return isSame ? value : Object.fromEntries(kept);
}

function withEncodedTexts(secret: KubeObject): KubeObject {
  const { stringData, ...rest } = secret;
  if (stringData === undefined) return secret;
  // The API server refuses anything but a map of texts.
  const isMapOfTexts = isRecord(stringData) && Object.values(stringData).every((text) => typeof text === 'string');
  if (!isMapOfTexts || !(rest.data === undefined || isRecord(rest.data))) return secret;
  const encoded = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(String(text)).toString('base64')]);
  return { ...rest, data: { ...rest.data, ...Object.fromEntries(encoded) } } as unknown as KubeObject;
}
