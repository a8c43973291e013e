import { createHash } from 'node:crypto';
import { checksumOf } from './compare.ts';
import { isOwnApply, type KubeObject, stackLabel } from './kube-object.ts';

/**
 * Changes whenever somebody else changes, takes over or removes a field that was applied, and with nothing else: the API server keeps
 * book of who owns which field, so status and the fields of others need not be compared. Short, so that it can be kept for every object.
 */
export function fingerprintOf(object: KubeObject): string {
  const { uid, deletionTimestamp, labels, managedFields = [] } = object.metadata;
  const applied = managedFields.find(isOwnApply);
  const leaving = deletionTimestamp === undefined ? '' : 'leaving';
  const parts = [uid, leaving, labels?.[stackLabel], checksumOf(object), applied?.fieldsV1];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64').slice(0, 16);
}
