import type { Core } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import { type JsonObject, type KubeObject, numberAt, objectAt } from '../core/object.ts';
import { badRequest, notFound } from '../core/status.ts';
import type { WriteOptions } from './persist.ts';
import { patchObject } from './write.ts';

const scalable: ReadonlySet<string> = new Set(['apps/deployments', 'apps/statefulsets', 'apps/replicasets']);

export function hasScale(kind: Kind): boolean {
  return scalable.has(kind.resource);
}

export function readScale(core: Core, kind: Kind, namespace: string | undefined, name: string): KubeObject {
  const liveObject = core.store.get(kind.resource, namespace, name);
  if (!liveObject) throw notFound(kind, name);
  return scaleOf(liveObject);
}

/** Sets `spec.replicas` from a changed Scale. */
export function writeScale(
  core: Core,
  kind: Kind,
  namespace: string | undefined,
  name: string,
  change: (scale: KubeObject) => JsonObject,
  options: WriteOptions,
): KubeObject {
  const changed = (liveObject: KubeObject): JsonObject => {
    const replicas = numberAt(change(scaleOf(liveObject)), 'spec.replicas') ?? 0;
    if (!Number.isInteger(replicas) || replicas < 0)
      throw badRequest('spec.replicas: must be a whole number of at least 0');
    return { ...liveObject, spec: { ...objectAt(liveObject, 'spec'), replicas } };
  };
  return scaleOf(patchObject(core, kind, namespace, name, changed, options));
}

function scaleOf(liveObject: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = liveObject.metadata;
  const labels = Object.entries(objectAt(liveObject, 'spec.selector.matchLabels'));
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: numberAt(liveObject, 'spec.replicas') === 0 ? {} : { replicas: numberAt(liveObject, 'spec.replicas') ?? 1 },
    status: {
      replicas: numberAt(liveObject, 'status.replicas') ?? 0,
      selector: labels.map(([key, value]) => `${key}=${value}`).join(','),
    },
  };
}
