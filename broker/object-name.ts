/** Names a Kubernetes object, as it is stored. The API version of `kind` is kept; an empty namespace means a cluster-scoped object. */
export interface ObjectName {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}
