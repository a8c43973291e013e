import { randomBytes } from 'node:crypto';
import { type Core, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import { equalJson, type JsonObject, type KubeObject } from '../core/object.ts';
import { alreadyExists, invalid, notFound } from '../core/status.ts';
import { decodeObject } from './decode.ts';
import { ownedFields } from './fields.ts';
import { compare, isSameOwner, type Owner, readOwners, withoutChangedFields } from './owners.ts';
import { persist, stripStatus, toVersion, type WriteOptions } from './persist.ts';
import { checkPreconditions } from './preconditions.ts';

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

/** Writes a status as kube-controller-manager would. */
export function writeStatus(core: Core, kind: Kind, liveObject: KubeObject, status: JsonObject): KubeObject {
  const options = { manager: 'kube-controller-manager', subresource: 'status' } as const;
  return replace(core, kind, liveObject, { ...liveObject, status }, options);
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
  const owners = givenOwners(liveObject, next);
  if (changes.set.size === 0 && changes.removed.size === 0) return owners;
  const { manager, subresource } = options;
  const mine = { manager, operation: 'Update' as const, apiVersion: kind.apiVersion, subresource };
  const last = owners.find((owner) => isSameOwner(owner, mine));
  const fields = new Set([...(last?.fields ?? []), ...changes.set].filter((path) => !changes.removed.has(path)));
  const others = owners.filter((owner) => owner !== last).map((owner) => withoutChangedFields(owner, changes));
  const unchanged = last && [...changes.set].every((path) => last.fields.has(path)) && fields.size === last.fields.size;
  return [...others, unchanged ? { ...last, time: timestamp() } : { ...mine, time: timestamp(), fields }];
}

/** Returns the owners that the write itself states; those of the live object for a write that states none. */
function givenOwners(liveObject: KubeObject | undefined, next: KubeObject): Owner[] {
  const given = liveObject ? next.metadata.managedFields : undefined;
  if (!given || given.length === 0) return readOwners(liveObject?.metadata.managedFields);
  // One empty entry stands for none at all.
  return readOwners(given.filter(({ manager }) => manager !== undefined));
}
