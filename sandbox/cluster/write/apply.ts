import { type Core, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import { equalJson, isObject, type JsonObject, type KubeObject, valueAt } from '../core/object.ts';
import { badRequest, conflict, notFound, StatusError } from '../core/status.ts';
import { decodeApplied } from './decode.ts';
import { ownedFields } from './fields.ts';
import { mergeApplied, pruneApplied } from './merge.ts';
import { compare, findConflict, isSameOwner, type Owner, readOwners, withoutChangedFields } from './owners.ts';
import { persist, stripStatus, type WriteOptions } from './persist.ts';
import { checkPreconditions, checkUid } from './preconditions.ts';
import { checkTyped, formatKind } from './validation.ts';

/** Applies an object by server-side apply. */
export function applyObject(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string,
  options: WriteOptions,
): { object: KubeObject; created: boolean } {
  const applied = readApplied(core, kind, body, namespace, name, options);
  const liveObject = core.store.get(kind.resource, namespace, name);
  const { manager, subresource } = options;
  const fields = new Set(ownedFields(applied, kind.shape).keys());
  const applier: Owner = {
    manager,
    operation: 'Apply',
    apiVersion: kind.apiVersion,
    subresource,
    time: timestamp(),
    fields,
  };
  if (!liveObject) {
    checkCreatable(kind, applied, options);
    return { object: persist(core, kind, undefined, applied, [applier], options), created: true };
  }
  if (applied.metadata.uid) checkUid(kind, liveObject, applied.metadata);
  checkPreconditions(kind, liveObject, applied.metadata);
  const { merged, owners } = mergeInto(liveObject, applied, applier, kind, options);
  return { object: persist(core, kind, liveObject, merged, owners, options), created: false };
}

function readApplied(
  core: Core,
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string,
  options: WriteOptions,
): KubeObject {
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
  return stripStatus(kind, decodeApplied(kind, given, namespace, name), options);
}

function checkCreatable(kind: Kind, { metadata: { name, uid } }: KubeObject, { subresource }: WriteOptions): void {
  if (subresource) throw notFound(kind, name);
  if (uid)
    throw conflict(
      kind,
      name,
      `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    );
}

/** Merges an applied object into the live one, and computes the owners. Throws on a conflict, unless it is forced. */
function mergeInto(
  liveObject: KubeObject,
  applied: KubeObject,
  applier: Owner,
  kind: Kind,
  { force }: WriteOptions,
): { merged: KubeObject; owners: Owner[] } {
  const owners = readOwners(liveObject.metadata.managedFields);
  const last = owners.find((owner) => isSameOwner(owner, applier));
  const others = owners.filter((owner) => owner !== last);
  let merged = mergeApplied(liveObject, applied, kind.shape) as KubeObject;
  if (last) {
    const kept = [...applier.fields, ...others.flatMap((owner) => [...owner.fields])];
    merged = pruneApplied(merged, last.fields, kept) as KubeObject;
  }
  const changes = compare(ownedFields(liveObject, kind.shape), ownedFields(merged, kind.shape), equalJson);
  const refusal = force ? undefined : findConflict(others, changes);
  if (refusal) throw refusal;
  if (!last) return { merged, owners: [...others.map((owner) => withoutChangedFields(owner, changes)), applier] };
  const unchanged =
    last.fields.size === applier.fields.size && [...applier.fields].every((path) => last.fields.has(path));
  const own = unchanged ? { ...last, apiVersion: kind.apiVersion } : applier;
  return { merged, owners: owners.map((owner) => (owner === last ? own : withoutChangedFields(owner, changes))) };
}
