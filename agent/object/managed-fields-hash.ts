import { createHash } from 'node:crypto';
import { checksumOf } from './compare.ts';
import { isOwnApply, type KubeObject, stackLabel } from './kube-object.ts';

/**
 * Returns a hash that changes when somebody else changes, takes over or removes an applied field, and only then: it covers the API
 * server's record of who owns which field, so status and the fields of others do not count. Short enough to be kept for every
 * object.
 */
export function fingerprintOf(object: KubeObject): string {
  const { uid, deletionTimestamp, labels, managedFields = [] } = object.metadata;
  const applied = managedFields.find(isOwnApply);
  const terminating = deletionTimestamp === undefined ? '' : 'terminating';
  const parts = [uid, terminating, labels?.[stackLabel], checksumOf(object), applied?.fieldsV1];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64').slice(0, 16);
}
