import type { Core } from '../core/core.ts';
import { type KubeObject, objectKey } from '../core/object.ts';
import type { StoreEvent } from '../core/store.ts';
import { removeFinalizer, removeObject } from '../write/remove.ts';

/** Deletes objects that have lost all their owners, and implements the orphan and foreground policies. */
export function runGarbageCollector(core: Core): void {
  const owned = new Map<string, Map<string, { resource: string; namespace?: string; name: string }>>();
  const living = new Map<string, { resource: string; namespace?: string; name: string }>();

  const dependents = (owner: string) =>
    [...(owned.get(owner)?.values() ?? [])].flatMap((place) => {
      const object = core.store.get(place.resource, place.namespace, place.name);
      return object ? [{ ...place, object }] : [];
    });
  const index = ({ resource, object, previous, deleted }: StoreEvent) => {
    const { namespace, name, uid = '' } = object.metadata;
    const place = { resource, namespace, name };
    const key = `${resource} ${objectKey(namespace, name)}`;
    for (const owner of previous?.metadata.ownerReferences ?? []) {
      const places = owned.get(owner.uid);
      places?.delete(key);
      if (places?.size === 0) owned.delete(owner.uid);
    }
    if (deleted) living.delete(uid);
    else {
      living.set(uid, place);
      for (const owner of object.metadata.ownerReferences ?? []) {
        const places = owned.get(owner.uid) ?? new Map();
        owned.set(owner.uid, places.set(key, place));
      }
    }
  };
  /** Only objects that have lost every owner are deleted. */
  const collect = (resource: string, object: KubeObject) => {
    const { namespace, name, uid, ownerReferences = [] } = object.metadata;
    const kind = core.kinds.all().find((candidate) => candidate.resource === resource);
    const current = core.store.get(resource, namespace, name);
    if (!kind || current?.metadata.uid !== uid || ownerReferences.some((owner) => living.has(owner.uid))) return;
    removeObject(core, kind, namespace, name, { body: { propagationPolicy: 'Background' } });
  };
  const settleOwner = (uid: string) => {
    const place = living.get(uid);
    const owner = place && core.store.get(place.resource, place.namespace, place.name);
    const kind = core.kinds.all().find((candidate) => candidate.resource === place?.resource);
    if (!owner?.metadata.deletionTimestamp || !kind) return;
    if (owner.metadata.finalizers?.includes('orphan')) {
      for (const { resource, object } of dependents(uid)) {
        const left = object.metadata.ownerReferences?.filter((candidate) => candidate.uid !== uid);
        const ownerReferences = left?.length ? left : undefined;
        core.store.put(resource, { ...object, metadata: { ...object.metadata, ownerReferences } });
      }
      removeFinalizer(core, kind, owner, 'orphan');
    } else if (owner.metadata.finalizers?.includes('foregroundDeletion')) {
      const waiting = dependents(uid).filter(({ object }) => !object.metadata.deletionTimestamp);
      for (const { resource, namespace, name } of waiting) {
        const dependent = core.kinds.all().find((candidate) => candidate.resource === resource);
        if (dependent) removeObject(core, dependent, namespace, name, { body: { propagationPolicy: 'Foreground' } });
      }
      if (dependents(uid).length === 0) removeFinalizer(core, kind, owner, 'foregroundDeletion');
    }
  };
  core.store.subscribe((event) => {
    index(event);
    const { object, resource, deleted } = event;
    const { uid = '', deletionTimestamp, finalizers = [], ownerReferences = [] } = object.metadata;
    if (deleted) {
      for (const dependent of dependents(uid)) core.schedule(2, () => collect(dependent.resource, dependent.object));
      for (const owner of ownerReferences) core.schedule(2, () => settleOwner(owner.uid));
    } else if (deletionTimestamp && (finalizers.includes('orphan') || finalizers.includes('foregroundDeletion')))
      core.schedule(2, () => settleOwner(uid));
    else if (ownerReferences.length > 0 && !ownerReferences.some((owner) => living.has(owner.uid)))
      core.schedule(20, () => collect(resource, object));
  });
  for (const [resource, object] of core.store.all())
    index({ revision: 0, resource, object, previous: undefined, deleted: false });
}
