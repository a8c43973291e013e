import { groupOf, isRecord, type KubeObject } from './kube-object.ts';

const mask = '***';
/** Prefix of the agent's own annotations, which reveal nothing of a Secret; others may contain all of it. */
const ownAnnotationPrefix = 'k8s.brokkr.io/';

/** Returns the object as it may be shown: without managed fields, and for a Secret with all values masked. */
export function redactObject(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  if (object.kind !== 'Secret' || groupOf(object.apiVersion) !== '') return { ...object, metadata };
  const annotations = Object.entries(metadata.annotations ?? {}).map(([name, value]): [string, string] => [
    name,
    name.startsWith(ownAnnotationPrefix) ? value : mask,
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
