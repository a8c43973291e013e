import { type Core, newUid, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import { equalJson, type JsonObject, type KubeObject, listAt, type Metadata, withoutNulls } from '../core/object.ts';
import { assignClusterIp } from './cluster-ip.ts';
import { withDefaults } from './defaults.ts';
import { type Owner, writeOwners } from './owners.ts';
import { checkNamespace } from './preconditions.ts';
import { checkDecodable, validate, validateSchema } from './validation.ts';

export interface WriteOptions {
  readonly manager: string;
  readonly dryRun?: boolean;
  readonly subresource?: 'status';
  /** For apply: takes fields over from other managers. */
  readonly force?: boolean;
}

/** Completes, validates and stores the result of a write, unless it changes nothing or is a dry run. */
export function persist(
  core: Core,
  kind: Kind,
  liveObject: KubeObject | undefined,
  desired: KubeObject,
  owners: readonly Owner[],
  options: WriteOptions,
): KubeObject {
  checkDecodable(kind, desired);
  const metadata: Metadata = { ...desired.metadata };
  if (liveObject) {
    for (const name of ['uid', 'creationTimestamp', 'deletionTimestamp', 'generation', 'resourceVersion'])
      metadata[name] = liveObject.metadata[name];
  } else {
    metadata.uid = newUid();
    metadata.creationTimestamp = timestamp();
    delete metadata.deletionTimestamp;
    metadata.generation = kind.hasGeneration ? 1 : undefined;
  }
  let object: KubeObject = { ...desired, metadata };
  if (!liveObject) object = initialStatus(kind, stripStatus(kind, object, options));
  object = withDefaults(kind, withoutNulls(object) as KubeObject);
  if (kind.resource === '/services') object = assignClusterIp(core, object, liveObject);
  if (!liveObject) checkNamespace(core, kind, object);
  validate(kind, object, liveObject);
  const schema = core.schemas.get(`${kind.apiVersion}/${kind.plural}`);
  if (schema) validateSchema(kind, object, schema);
  if (liveObject && kind.hasGeneration && !hasSameContent(object, liveObject))
    object.metadata.generation = (liveObject.metadata.generation ?? 0) + 1;
  object.metadata.managedFields = writeOwners(owners);
  if (liveObject && isUnchanged(object, liveObject)) return toVersion(kind, liveObject);
  if (options.dryRun) return object;
  const stored = core.store.put(kind.resource, object);
  if (stored.metadata.deletionTimestamp && !hasFinalizers(stored)) core.store.remove(kind.resource, stored);
  return stored;
}

/** Converts an object to another served version; all versions of a custom resource have the same schema here. */
export function toVersion(kind: Kind, object: KubeObject): KubeObject {
  return object.apiVersion === kind.apiVersion ? object : { ...object, apiVersion: kind.apiVersion };
}

/** Reports whether finalizers hold a terminating object; a namespace has some in its spec, too. */
export function hasFinalizers(object: KubeObject): boolean {
  const inSpec = object.kind === 'Namespace' ? listAt(object, 'spec.finalizers').length : 0;
  return (object.metadata.finalizers?.length ?? 0) + inSpec > 0;
}

/** Drops the part that the request may not write: the status, or with `/status` everything else. */
export function stripStatus(
  kind: Kind,
  object: KubeObject,
  options: WriteOptions,
  liveObject?: KubeObject,
): KubeObject {
  if (!kind.hasStatus) return object;
  if (options.subresource)
    return { apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata, status: object.status };
  const { status: _, ...rest } = object;
  return (liveObject?.status === undefined ? rest : { ...rest, status: liveObject.status }) as KubeObject;
}

function initialStatus(kind: Kind, object: KubeObject): KubeObject {
  if (kind.resource === '/namespaces') return { ...object, status: { phase: 'Active' } };
  if (kind.resource === '/pods' || kind.resource === '/persistentvolumeclaims')
    return { ...object, status: { phase: 'Pending' } };
  return object;
}

function hasSameContent(object: KubeObject, liveObject: KubeObject): boolean {
  const content = ({ metadata: _, status: __, apiVersion: ___, ...rest }: KubeObject) => rest as JsonObject;
  return equalJson(content(object), content(liveObject));
}

/** Ignores the times of managers, so that repeating an apply writes nothing. */
function isUnchanged(object: KubeObject, liveObject: KubeObject): boolean {
  const timeless = ({ metadata: { managedFields, ...metadata }, apiVersion: _, ...rest }: KubeObject): JsonObject => ({
    ...rest,
    metadata: { ...metadata, managedFields: managedFields?.map(({ time: __, ...entry }) => entry) },
  });
  return equalJson(timeless(object), timeless(liveObject));
}
