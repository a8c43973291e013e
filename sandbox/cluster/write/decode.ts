import type { Kind } from '../core/kinds.ts';
import { isObject, type JsonObject, type KubeObject, type Metadata, withoutNulls } from '../core/object.ts';
import { badRequest } from '../core/status.ts';

/** Checks that the request and the object agree, and returns the object. */
export function decodeObject(
  kind: Kind,
  body: JsonObject,
  namespace: string | undefined,
  name: string | undefined,
): KubeObject {
  return withoutNulls(decodeApplied(kind, body, namespace, name)) as KubeObject;
}

/** The same for an applied object, of which nulls are merged before they are left out. */
export function decodeApplied(
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
  return { ...body, apiVersion, kind: kind.kind, metadata } as KubeObject;
}
