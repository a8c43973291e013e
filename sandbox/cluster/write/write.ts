import { randomBytes } from 'node:crypto';
import { type Core, newUid, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import {
  at,
  equal,
  isObject,
  type JsonObject,
  type KubeObject,
  listAt,
  type Metadata,
  withoutNulls,
} from '../core/object.ts';
import { alreadyExists, badRequest, conflict, invalid, notFound, StatusError } from '../core/status.ts';
import { assignClusterIp } from './cluster-ip.ts';
import { withDefaults } from './defaults.ts';
import { fieldsOf } from './fields.ts';
import { mergeApplied, pruneApplied } from './merge.ts';
import { compare, conflictWith, losing, type Owner, readOwners, sameOwner, writeOwners } from './owners.ts';
import { checkNamespace, checkPreconditions, checkUid } from './preconditions.ts';
import { checkDecodable, checkTyped, gvkText, validate, validateSchema } from './validation.ts';

export interface WriteOptions {
  readonly manager: string;
  readonly dryRun?: boolean;
  readonly subresource?: 'status';
  /** Of an apply: takes fields from other managers. */
  readonly force?: boolean;
}

export function createObject(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  options: WriteOptions,
) {
  const object = decode(kind, body, namespace, undefined);
  if (!object.metadata.name && object.metadata.generateName)
    object.metadata.name = object.metadata.generateName + randomBytes(3).toString('hex').slice(0, 5);
  const { name } = object.metadata;
  if (core.store.get(kind.resource, namespace, name)) throw alreadyExists(kind, name);
  return finish(core, kind, undefined, object, owningChanges(kind, undefined, object, options), options);
}

export function updateObject(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string,
  options: WriteOptions,
) {
  const live = core.store.get(kind.resource, namespace, name);
  if (!live) throw notFound(kind, name);
  const object = decode(kind, body, namespace, name);
  if (kind.custom && !object.metadata.resourceVersion)
    throw invalid(kind, name, [
      {
        reason: 'FieldValueInvalid',
        field: 'metadata.resourceVersion',
        message: 'Invalid value: 0: must be specified for an update',
      },
    ]);
  return replace(core, kind, live, object, options);
}

/** A patch that is not an apply: `change` makes the new object of the live one. */
export function patchObject(
  core: Core,
  kind: Kind,
  namespace: string | undefined,
  name: string,
  change: (live: KubeObject) => JsonObject,
  options: WriteOptions,
) {
  const live = core.store.get(kind.resource, namespace, name);
  if (!live) throw notFound(kind, name);
  return replace(core, kind, live, decode(kind, change(asVersion(kind, live)), namespace, name), options);
}

/** Server-side apply. */
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
  if (at(body, 'metadata.managedFields')) throw badRequest('metadata.managedFields must be nil');
  const given = { ...body, metadata: { name, ...(isObject(body.metadata) ? body.metadata : {}) } };
  const { apiVersion = kind.apiVersion, kind: kindName = kind.kind } = body;
  if (apiVersion !== kind.apiVersion || kindName !== kind.kind)
    throw badRequest(`invalid object type: ${gvkText(String(apiVersion), String(kindName))}`);
  checkTyped(kind, given, core.schemas.get(`${kind.apiVersion}/${kind.plural}`));
  const applied = stripStatus(kind, decode(kind, given, namespace, name), options);
  const live = core.store.get(kind.resource, namespace, name);
  const mine = {
    manager: options.manager,
    operation: 'Apply' as const,
    apiVersion: kind.apiVersion,
    subresource: options.subresource,
  };
  const fields = new Set(fieldsOf(applied, kind.shape).keys());
  if (!live) {
    if (options.subresource) throw notFound(kind, name);
    const { uid } = applied.metadata;
    if (uid)
      throw conflict(
        kind,
        name,
        `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
      );
    const object = finish(core, kind, undefined, applied, [{ ...mine, time: timestamp(), fields }], options);
    return { object, created: true };
  }
  if (applied.metadata.uid) checkUid(kind, live, applied.metadata);
  checkPreconditions(kind, live, applied.metadata);
  const owners = readOwners(live.metadata.managedFields);
  const last = owners.find((owner) => sameOwner(owner, mine));
  const others = owners.filter((owner) => owner !== last);
  let merged = mergeApplied(live, applied, kind.shape) as KubeObject;
  if (last) {
    const kept = [...fields, ...others.flatMap((owner) => [...owner.fields])];
    merged = pruneApplied(merged, last.fields, kept) as KubeObject;
  }
  const changes = compare(fieldsOf(live, kind.shape), fieldsOf(merged, kind.shape), equal);
  const refusal = options.force ? undefined : conflictWith(others, changes);
  if (refusal) throw refusal;
  const unchanged = last && last.fields.size === fields.size && [...fields].every((path) => last.fields.has(path));
  const own: Owner = unchanged ? { ...last, apiVersion: kind.apiVersion } : { ...mine, time: timestamp(), fields };
  const remaining = others.map((owner) => losing(owner, changes));
  const next = last
    ? owners.map((owner, n) => (owner === last ? own : remaining[n - (owners.indexOf(last) < n ? 1 : 0)]!))
    : [...remaining, own];
  return { object: finish(core, kind, live, merged, next, options), created: false };
}

/** Writes what a controller found out, as kube-controller-manager would. */
export function writeStatus(core: Core, kind: Kind, live: KubeObject, status: JsonObject): KubeObject {
  const options = { manager: 'kube-controller-manager', subresource: 'status' } as const;
  return replace(core, kind, live, { ...live, status }, options);
}

/** An object of another served version; the versions of a custom resource are taken to be alike. */
export function asVersion(kind: Kind, object: KubeObject): KubeObject {
  return object.apiVersion === kind.apiVersion ? object : { ...object, apiVersion: kind.apiVersion };
}

function replace(core: Core, kind: Kind, live: KubeObject, object: KubeObject, options: WriteOptions): KubeObject {
  checkPreconditions(kind, live, object.metadata);
  let next = object;
  if (options.subresource) next = { ...live, status: object.status };
  else next = stripStatus(kind, object, options, live);
  return finish(core, kind, live, next, owningChanges(kind, live, next, options), options);
}

/** The owners after a write that is not an apply: the writer gets what it changed. */
function owningChanges(kind: Kind, live: KubeObject | undefined, next: KubeObject, options: WriteOptions): Owner[] {
  const changes = compare(live ? fieldsOf(live, kind.shape) : new Map(), fieldsOf(next, kind.shape), equal);
  const owners = readOwners(live?.metadata.managedFields);
  if (changes.set.size === 0 && changes.removed.size === 0) return owners;
  const { manager, subresource } = options;
  const mine = { manager, operation: 'Update' as const, apiVersion: kind.apiVersion, subresource };
  const last = owners.find((owner) => sameOwner(owner, mine));
  const fields = new Set([...(last?.fields ?? []), ...changes.set].filter((path) => !changes.removed.has(path)));
  const others = owners.filter((owner) => owner !== last).map((owner) => losing(owner, changes));
  const unchanged = last && [...changes.set].every((path) => last.fields.has(path)) && fields.size === last.fields.size;
  return [...others, unchanged ? { ...last, time: timestamp() } : { ...mine, time: timestamp(), fields }];
}

function finish(
  core: Core,
  kind: Kind,
  live: KubeObject | undefined,
  wanted: KubeObject,
  owners: readonly Owner[],
  options: WriteOptions,
): KubeObject {
  checkDecodable(kind, wanted);
  const metadata: Metadata = { ...wanted.metadata };
  if (live) {
    for (const name of ['uid', 'creationTimestamp', 'deletionTimestamp', 'generation', 'resourceVersion'])
      metadata[name] = live.metadata[name];
  } else {
    metadata.uid = newUid();
    metadata.creationTimestamp = timestamp();
    delete metadata.deletionTimestamp;
    metadata.generation = kind.hasGeneration ? 1 : undefined;
  }
  let object: KubeObject = { ...wanted, metadata };
  if (!live) object = initialStatus(kind, stripStatus(kind, object, options));
  object = withDefaults(kind, withoutNulls(object) as KubeObject);
  if (kind.resource === '/services') object = assignClusterIp(core, object, live);
  if (!live) checkNamespace(core, kind, object);
  validate(kind, object, live);
  const schema = core.schemas.get(`${kind.apiVersion}/${kind.plural}`);
  if (schema) validateSchema(kind, object, schema);
  if (live && kind.hasGeneration && !sameContent(object, live))
    object.metadata.generation = (live.metadata.generation ?? 0) + 1;
  object.metadata.managedFields = writeOwners(owners);
  if (live && isUnchanged(object, live)) return asVersion(kind, live);
  if (options.dryRun) return object;
  const stored = core.store.put(kind.resource, object);
  if (stored.metadata.deletionTimestamp && !isHeld(stored)) core.store.remove(kind.resource, stored);
  return stored;
}

/** Objects that are being deleted stay for their finalizers; a namespace has some in its spec, too. */
export function isHeld(object: KubeObject): boolean {
  const inSpec = object.kind === 'Namespace' ? listAt(object, 'spec.finalizers').length : 0;
  return (object.metadata.finalizers?.length ?? 0) + inSpec > 0;
}

/** Checks what the request and the object say about each other. */
function decode(kind: Kind, body: JsonObject, namespace: string | undefined, name: string | undefined): KubeObject {
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

function stripStatus(kind: Kind, object: KubeObject, options: WriteOptions, live?: KubeObject): KubeObject {
  if (!kind.hasStatus) return object;
  if (options.subresource)
    return { apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata, status: object.status };
  const { status: _, ...rest } = object;
  return (live?.status === undefined ? rest : { ...rest, status: live.status }) as KubeObject;
}

function initialStatus(kind: Kind, object: KubeObject): KubeObject {
  if (kind.resource === '/namespaces') return { ...object, status: { phase: 'Active' } };
  if (kind.resource === '/pods' || kind.resource === '/persistentvolumeclaims')
    return { ...object, status: { phase: 'Pending' } };
  return object;
}

function sameContent(object: KubeObject, live: KubeObject): boolean {
  const content = ({ metadata: _, status: __, apiVersion: ___, ...rest }: KubeObject) => rest as JsonObject;
  return equal(content(object), content(live));
}

/** Times of managers alone are no change, so an apply of the same again writes nothing. */
function isUnchanged(object: KubeObject, live: KubeObject): boolean {
  const timeless = ({ metadata: { managedFields, ...metadata }, apiVersion: _, ...rest }: KubeObject): JsonObject => ({
    ...rest,
    metadata: { ...metadata, managedFields: managedFields?.map(({ time: __, ...entry }) => entry) },
  });
  return equal(timeless(object), timeless(live));
}
