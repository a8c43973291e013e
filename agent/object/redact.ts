import { groupOf, isRecord, type KubeObject } from './kube-object.ts';

const mask = '***';
/** Annotations of the agent's own say nothing about a Secret's content; others may hold all of it. */
const ownPrefix = 'k8s.brokkr.io/';

/** The object as it may be shown: without the API server's bookkeeping, and a Secret without anything that it keeps. */
export function redactObject(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  if (object.kind !== 'Secret' || groupOf(object.apiVersion) !== '') return { ...object, metadata };
  const annotations = Object.entries(metadata.annotations ?? {}).map(([name, value]): [string, string] => [
    name,
    name.startsWith(ownPrefix) ? value : mask,
  ]);
  return {
    ...object,
    metadata: { ...metadata, ...(metadata.annotations && { annotations: Object.fromEntries(annotations) }) },
    ...maskedField(object, 'data'),
    ...maskedField(object, 'stringData'),
  };
}

function maskedField(object: KubeObject, field: 'data' | 'stringData') {
  const values = object[field];
  if (values === undefined) return {};
  return { [field]: isRecord(values) ? Object.fromEntries(Object.keys(values).map((key) => [key, mask])) : mask };
}
