import { type Core, timestamp } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import { type JsonObject, type KubeObject, textAt } from '../core/object.ts';
import { notFound, StatusError } from '../core/status.ts';
import { hasFinalizers } from './persist.ts';
import { writeStatus } from './write.ts';

const DEFINITIONS = 'apiextensions.k8s.io/customresourcedefinitions';

/** Finalizer that keeps a definition until its instances are gone. */
export const DEFINITION_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

export interface RemoveOptions {
  readonly dryRun?: boolean;
  /** Body of the DELETE request: preconditions and propagationPolicy. */
  readonly body?: JsonObject;
}

/** Deletes an object, or marks it as terminating when finalizers hold it. */
export function removeObject(
  core: Core,
  kind: Kind,
  namespace: string | undefined,
  name: string,
  { dryRun, body = {} }: RemoveOptions = {},
): { object: KubeObject; gone: boolean } {
  const liveObject = core.store.get(kind.resource, namespace, name);
  if (!liveObject) throw notFound(kind, name);
  checkPreconditions(kind, liveObject, body);
  if (kind.resource === '/namespaces' && immortal.has(name)) {
    const message = `namespaces "${name}" is forbidden: this namespace may not be deleted`;
    throw new StatusError(403, message, { reason: 'Forbidden' });
  }
  if (dryRun) return { object: liveObject, gone: !hasFinalizers(liveObject) };
  const policy = textAt(body, 'propagationPolicy') ?? defaultPolicy(kind);
  const extra = policy === 'Foreground' ? 'foregroundDeletion' : policy === 'Orphan' ? 'orphan' : undefined;
  const finalizers = [...(liveObject.metadata.finalizers ?? [])];
  if (kind.resource === DEFINITIONS && !finalizers.includes(DEFINITION_FINALIZER))
    finalizers.push(DEFINITION_FINALIZER);
  if (extra && !finalizers.includes(extra)) finalizers.push(extra);
  const held = finalizers.length > 0 ? { ...liveObject, metadata: { ...liveObject.metadata, finalizers } } : liveObject;
  if (!hasFinalizers(held)) return { object: core.store.remove(kind.resource, liveObject), gone: true };
  if (liveObject.metadata.deletionTimestamp) return { object: liveObject, gone: false };
  const marked: KubeObject = {
    ...held,
    metadata: {
      ...held.metadata,
      deletionTimestamp: timestamp(),
      deletionGracePeriodSeconds: 0,
      generation: kind.hasGeneration ? (liveObject.metadata.generation ?? 0) + 1 : undefined,
    },
  };
  const stored = core.store.put(kind.resource, marked);
  const object = kind.resource === '/namespaces' ? writeStatus(core, kind, stored, { phase: 'Terminating' }) : stored;
  return { object, gone: false };
}

/** Removes a finalizer, and the object when it was terminating and this was the last one. */
export function removeFinalizer(core: Core, kind: Kind, object: KubeObject, finalizer: string): void {
  const finalizers = object.metadata.finalizers?.filter((name) => name !== finalizer);
  const next = { ...object, metadata: { ...object.metadata, finalizers: finalizers?.length ? finalizers : undefined } };
  const stored = core.store.put(kind.resource, next);
  if (stored.metadata.deletionTimestamp && !hasFinalizers(stored)) core.store.remove(kind.resource, stored);
}

function checkPreconditions(kind: Kind, { metadata }: KubeObject, body: JsonObject): void {
  const refuse = (what: string, desired: string, found: string | undefined, then: string) =>
    new StatusError(
      409,
      `Operation cannot be fulfilled on ${kind.kind} "${metadata.name}": the ${what} in the precondition (${desired}) does not match the ${what} in record (${found}). The object might have been ${then}`,
      { details: { name: metadata.name, kind: kind.kind } },
    );
  const uid = textAt(body, 'preconditions.uid');
  if (uid && uid !== metadata.uid) throw refuse('UID', uid, metadata.uid, 'deleted and then recreated');
  const version = textAt(body, 'preconditions.resourceVersion');
  if (version && version !== metadata.resourceVersion)
    throw refuse('ResourceVersion', version, metadata.resourceVersion, 'modified');
}

/** Jobs orphan their pods by default. */
function defaultPolicy(kind: Kind): string {
  return kind.resource === 'batch/jobs' ? 'Orphan' : 'Background';
}
