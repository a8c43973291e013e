import { randomBytes } from 'node:crypto';
import { type Core, newUid, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import {
  equalJson,
  isObject,
  type JsonObject,
  type KubeObject,
  listAt,
  type Metadata,
  valueAt,
  withoutNulls,
} from '../core/object.ts';
import { alreadyExists, badRequest, conflict, invalid, notFound, StatusError } from '../core/status.ts';
import { assignClusterIp } from './cluster-ip.ts';
import { withDefaults } from './defaults.ts';
import { ownedFields } from './fields.ts';
import { mergeApplied, pruneApplied } from './merge.ts';
import {
  compare,
  findConflict,
  isSameOwner,
  type Owner,
  readOwners,
  withoutChangedFields,
  writeOwners,
} from './owners.ts';
import { checkNamespace, checkPreconditions, checkUid } from './preconditions.ts';
import { checkDecodable, checkTyped, formatKind, validate, validateSchema } from './validation.ts';

export interface WriteOptions {
  readonly manager: string;
  readonly dryRun?: boolean;
  readonly subresource?: 'status';
  /** For apply: takes fields over from other managers. */
  readonly force?: boolean;
}

export function createObject(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  options: WriteOptions,
) {
  const object = decodeObject(kind, body, namespace, undefined);
  if (!object.metadata.name && object.metadata.generateName)
    object.metadata.name = object.metadata.generateName + randomBytes(3).toString('hex').slice(0, 5);
  const { name } = object.metadata;
  if (core.store.get(kind.resource, namespace, name)) throw alreadyExists(kind, name);
  return persist(core, kind, undefined, object, ownersAfterUpdate(kind, undefined, object, options), options);
}

export function updateObject(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string,
  options: WriteOptions,
) {
  const liveObject = core.store.get(kind.resource, namespace, name);
  if (!liveObject) throw notFound(kind, name);
  const object = decodeObject(kind, body, namespace, name);
  if (kind.custom && !object.metadata.resourceVersion)
    throw invalid(kind, name, [
      {
        reason: 'FieldValueInvalid',
        field: 'metadata.resourceVersion',
        message: 'Invalid value: 0: must be specified for an update',
      },
    ]);
  return replace(core, kind, liveObject, object, options);
}

/** Patches an object in any way but an apply: `change` computes the new object from the live one. */
export function patchObject(
  core: Core,
  kind: Kind,
  namespace: string | undefined,
  name: string,
  change: (liveObject: KubeObject) => JsonObject,
  options: WriteOptions,
) {
  const liveObject = core.store.get(kind.resource, namespace, name);
  if (!liveObject) throw notFound(kind, name);
  return replace(
    core,
    kind,
    liveObject,
    decodeObject(kind, change(toVersion(kind, liveObject)), namespace, name),
    options,
  );
}

/** Applies an object by server-side apply. */
export function applyObject(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string,
  options: WriteOptions,
): { object: KubeObject; created: boolean } {
  if (!options.manager)
    throw new StatusError(
      422,
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  if (valueAt(body, 'metadata.managedFields')) throw badRequest('metadata.managedFields must be nil');
  const given = { ...body, metadata: { name, ...(isObject(body.metadata) ? body.metadata : {}) } };
  const { apiVersion = kind.apiVersion, kind: kindName = kind.kind } = body;
  if (apiVersion !== kind.apiVersion || kindName !== kind.kind)
    throw badRequest(`invalid object type: ${formatKind(String(apiVersion), String(kindName))}`);
  checkTyped(kind, given, core.schemas.get(`${kind.apiVersion}/${kind.plural}`));
  const applied = stripStatus(kind, decodeObject(kind, given, namespace, name), options);
  const liveObject = core.store.get(kind.resource, namespace, name);
  const mine = {
    manager: options.manager,
    operation: 'Apply' as const,
    apiVersion: kind.apiVersion,
    subresource: options.subresource,
  };
  const fields = new Set(ownedFields(applied, kind.shape).keys());
  if (!liveObject) {
    if (options.subresource) throw notFound(kind, name);
    const { uid } = applied.metadata;
    if (uid)
      throw conflict(
        kind,
        name,
        `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
      );
    const object = persist(core, kind, undefined, applied, [{ ...mine, time: timestamp(), fields }], options);
    return { object, created: true };
  }
  if (applied.metadata.uid) checkUid(kind, liveObject, applied.metadata);
  checkPreconditions(kind, liveObject, applied.metadata);
  const owners = readOwners(liveObject.metadata.managedFields);
  const last = owners.find((owner) => isSameOwner(owner, mine));
  const others = owners.filter((owner) => owner !== last);
  let merged = mergeApplied(liveObject, applied, kind.shape) as KubeObject;
  if (last) {
    const kept = [...fields, ...others.flatMap((owner) => [...owner.fields])];
    merged = pruneApplied(merged, last.fields, kept) as KubeObject;
  }
  const changes = compare(ownedFields(liveObject, kind.shape), ownedFields(merged, kind.shape), equalJson);
  const refusal = options.force ? undefined : findConflict(others, changes);
  if (refusal) throw refusal;
  const unchanged = last && last.fields.size === fields.size && [...fields].every((path) => last.fields.has(path));
  const own: Owner = unchanged ? { ...last, apiVersion: kind.apiVersion } : { ...mine, time: timestamp(), fields };
  const remaining = others.map((owner) => withoutChangedFields(owner, changes));
  const next = last
    ? owners.map((owner, n) => (owner === last ? own : remaining[n - (owners.indexOf(last) < n ? 1 : 0)]!))
    : [...remaining, own];
  return { object: persist(core, kind, liveObject, merged, next, options), created: false };
}

/** Writes a status as kube-controller-manager would. */
export function writeStatus(core: Core, kind: Kind, liveObject: KubeObject, status: JsonObject): KubeObject {
  const options = { manager: 'kube-controller-manager', subresource: 'status' } as const;
  return replace(core, kind, liveObject, { ...liveObject, status }, options);
}

/** Converts an object to another served version; all versions of a custom resource have the same schema here. */
export function toVersion(kind: Kind, object: KubeObject): KubeObject {
  return object.apiVersion === kind.apiVersion ? object : { ...object, apiVersion: kind.apiVersion };
}

function replace(
  core: Core,
  kind: Kind,
  liveObject: KubeObject,
  object: KubeObject,
  options: WriteOptions,
): KubeObject {
  checkPreconditions(kind, liveObject, object.metadata);
  let next = object;
  if (options.subresource) next = { ...liveObject, status: object.status };
  else next = stripStatus(kind, object, options, liveObject);
  return persist(core, kind, liveObject, next, ownersAfterUpdate(kind, liveObject, next, options), options);
}

/** Computes the owners after a write that is not an apply: the writer gets the fields that it changed. */
function ownersAfterUpdate(
  kind: Kind,
  liveObject: KubeObject | undefined,
  next: KubeObject,
  options: WriteOptions,
): Owner[] {
  const changes = compare(
    liveObject ? ownedFields(liveObject, kind.shape) : new Map(),
    ownedFields(next, kind.shape),
    equalJson,
  );
  const owners = readOwners(liveObject?.metadata.managedFields);
  if (changes.set.size === 0 && changes.removed.size === 0) return owners;
  const { manager, subresource } = options;
  const mine = { manager, operation: 'Update' as const, apiVersion: kind.apiVersion, subresource };
  const last = owners.find((owner) => isSameOwner(owner, mine));
  const fields = new Set([...(last?.fields ?? []), ...changes.set].filter((path) => !changes.removed.has(path)));
  const others = owners.filter((owner) => owner !== last).map((owner) => withoutChangedFields(owner, changes));
  const unchanged = last && [...changes.set].every((path) => last.fields.has(path)) && fields.size === last.fields.size;
  return [...others, unchanged ? { ...last, time: timestamp() } : { ...mine, time: timestamp(), fields }];
}

function persist(
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

/** Reports whether finalizers hold a terminating object; a namespace has some in its spec, too. */
export function hasFinalizers(object: KubeObject): boolean {
  const inSpec = object.kind === 'Namespace' ? listAt(object, 'spec.finalizers').length : 0;
  return (object.metadata.finalizers?.length ?? 0) + inSpec > 0;
}

/** Checks that the request and the object agree, and returns the object. */
function decodeObject(
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string | undefined,
): KubeObject {
  const { apiVersion = kind.apiVersion, kind: kindName = kind.kind } = body;
  if (apiVersion !== kind.apiVersion)
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${kind.apiVersion})`,
    );
  if (kindName !== kind.kind)
    throw badRequest(`${kindName} in version "${kind.version}" cannot be handled as a ${kind.kind}`);
  const metadata = { ...(isObject(body.metadata) ? body.metadata : {}) } as Metadata;
  if (name !== undefined && metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name ?? ''}) does not match the name on the URL (${name})`);
  if (namespace && metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  if (namespace) metadata.namespace = namespace;
  else delete metadata.namespace;
  return withoutNulls({ ...body, apiVersion, kind: kind.kind, metadata }) as KubeObject;
}

function stripStatus(kind: Kind, object: KubeObject, options: WriteOptions, liveObject?: KubeObject): KubeObject {
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
