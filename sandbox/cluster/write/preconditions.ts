import type { Core } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import type { KubeObject, Metadata } from '../core/object.ts';
import { conflict, forbidden, invalid, notFound, stale } from '../core/status.ts';

/** Refuses a patch that names another object's uid. */
export function checkUid(kind: Kind, liveObject: KubeObject, { uid, name }: Metadata): void {
  const message = `Invalid value: ${JSON.stringify(uid)}: field is immutable`;
  if (uid !== liveObject.metadata.uid)
    throw invalid(kind, name, [{ reason: 'FieldValueInvalid', message, field: 'metadata.uid' }]);
}

/** Refuses a write whose uid or resource version does not match the live object. */
export function checkPreconditions(kind: Kind, liveObject: KubeObject, { uid, resourceVersion, name }: Metadata): void {
  if (uid && uid !== liveObject.metadata.uid)
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${liveObject.metadata.uid}`,
    );
  if (resourceVersion && resourceVersion !== liveObject.metadata.resourceVersion) throw stale(kind, name);
}

/** Refuses to create anything in a namespace that is missing or terminating. */
export function checkNamespace(core: Core, kind: Kind, { metadata: { name, namespace } }: KubeObject): void {
  if (!kind.namespaced || !namespace) return;
  const namespaces = core.kinds.byKind('v1', 'Namespace')!;
  const found = core.store.get(namespaces.resource, undefined, namespace);
  if (!found) throw notFound(namespaces, namespace);
  if (found.metadata.deletionTimestamp)
    throw forbidden(
      kind,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    );
}
