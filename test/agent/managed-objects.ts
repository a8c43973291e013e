import type { KubeObject } from '../../agent/object/kube-object.ts';

/** A Deployment with one container named `web`. */
export function webDeployment(container: object, annotations?: Record<string, string>): KubeObject {
  const template = { spec: { containers: [{ name: 'web', ...container }] } };
  const metadata = { name: 'web', ...(annotations && { annotations }) };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { replicas: 2, template } };
}

/** The object with these managers of its fields. */
export function withManagers(
  object: KubeObject,
  managedFields: KubeObject['metadata']['managedFields'] & object,
): KubeObject {
  return { ...object, metadata: { ...object.metadata, managedFields } };
}
