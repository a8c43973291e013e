/** Names a Kubernetes object; `namespace` is empty for a cluster-scoped one, and where a manifest names none. */
export interface ObjectId {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Names a kind, in one of the versions in which it is served. */
export type KindId = Pick<ObjectId, 'apiVersion' | 'kind'>;

/**
 * Returns the key of an object within a cluster: "apps/Deployment/demo/web", "/ConfigMap/demo/web". The version is no part of it,
 * because the API server serves one object in several.
 */
export function keyOf({ apiVersion, kind, namespace, name }: ObjectId): string {
  return `${groupKindOf({ apiVersion, kind })}/${namespace}/${name}`;
}

/** Returns the key of a kind, without its version: "apps/Deployment", "/ConfigMap" for the core group. */
export function groupKindOf({ apiVersion, kind }: KindId): string {
  return `${groupOf(apiVersion)}/${kind}`;
}

/** Names a kind for people and in rules: "apps/Deployment", "ConfigMap" for the core group. */
export function kindName({ apiVersion, kind }: KindId): string {
  const group = groupOf(apiVersion);
  return group === '' ? kind : `${group}/${kind}`;
}

/** Returns the API group: "apps" of "apps/v1", empty for the core group's "v1". */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}

/** Names an object for people, as kubectl does: "Deployment.apps demo/web". Empty for none. */
export function objectText(id: ObjectId | undefined): string {
  if (!id) return '';
  const group = groupOf(id.apiVersion);
  return `${id.kind}${group === '' ? '' : `.${group}`} ${id.namespace === '' ? '' : `${id.namespace}/`}${id.name}`;
}
