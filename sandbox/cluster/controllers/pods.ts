import { createHash, randomBytes } from 'node:crypto';
import type { Core } from '../core/core.ts';
import { isObject, type JsonObject, type KubeObject, objectAt } from '../core/object.ts';
import { removeObject } from '../write/remove.ts';
import { createObject } from '../write/write.ts';

const HASH = 'controller-revision-hash';

/** Creates and deletes pods of a workload until `count` of its current template remain. */
export function setPods(core: Core, owner: KubeObject, count: number): void {
  const kind = core.kinds.byKind('v1', 'Pod')!;
  const { name, namespace, uid } = owner.metadata;
  const template = objectAt(owner, 'spec.template');
  const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
  const mine = core.store
    .list(kind.resource, namespace)
    .filter(
      (pod) =>
        pod.metadata.ownerReferences?.some((candidate) => candidate.uid === uid) && !pod.metadata.deletionTimestamp,
    );
  const present = mine.filter((pod) => pod.metadata.labels?.[HASH] === hash);
  for (const pod of [...mine.filter((candidate) => !present.includes(candidate)), ...present.slice(count)])
    removeObject(core, kind, namespace, pod.metadata.name);
  const taken = new Set(present.map((pod) => pod.metadata.name));
  const ordered = owner.kind === 'StatefulSet';
  for (let n = 0; n < count && taken.size < count; n++) {
    const podName = ordered ? `${name}-${n}` : `${name}-${randomBytes(3).toString('hex').slice(0, 5)}`;
    if (taken.has(podName)) continue;
    taken.add(podName);
    createObject(core, kind, buildPod(owner, podName, hash), namespace, { manager: 'kube-controller-manager' });
  }
}

function buildPod(owner: KubeObject, name: string, hash: string): JsonObject {
  const template = objectAt(owner, 'spec.template');
  const metadata = objectAt(template, 'metadata');
  const labels = { ...(isObject(metadata.labels) ? metadata.labels : {}), [HASH]: hash };
  const { apiVersion, kind } = owner;
  const reference = { apiVersion, kind, name: owner.metadata.name, uid: owner.metadata.uid, controller: true };
  return {
    metadata: {
      name,
      labels:
        kind === 'Job'
          ? { ...labels, 'batch.kubernetes.io/job-name': owner.metadata.name, 'job-name': owner.metadata.name }
          : labels,
      annotations: metadata.annotations,
      ownerReferences: [{ ...reference, blockOwnerDeletion: true }],
    },
    spec: { nodeName: 'simulated', ...objectAt(template, 'spec') },
  };
}
