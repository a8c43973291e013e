import type { InventoryItem } from '../../inventory/shards.ts';
import { hasStatus } from '../../kube/api-error.ts';
import type { Cluster, MergePatch } from '../../kube/cluster.ts';
import { checksumAnnotation, fieldManager, type KubeObject, stackLabel } from '../../object/kube-object.ts';

const releaseAttempts = 5;

/**
 * Takes the stack's marks, and the ownership of fields, off an object that stays; nothing else of it is written. Returns true when it
 * is done or the object does not carry the label; false when somebody else wrote the object during each of several attempts.
 */
export async function releaseObject(
  cluster: Cluster,
  item: InventoryItem,
  stackId: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; attempt < releaseAttempts; attempt++) {
    const live = await cluster.getMetadata(item.id, signal);
    if (!live || live.metadata.labels?.[stackLabel] !== stackId) return true;
    try {
      await cluster.patch(item.id, withoutMarks(live), signal);
      return true;
    } catch (error) {
      if (hasStatus(error, 404)) return true;
      if (!hasStatus(error, 409)) throw error;
    }
  }
  return false;
}

function withoutMarks({ metadata }: KubeObject): MergePatch {
  const others = (metadata.managedFields ?? []).filter(({ manager }) => manager !== fieldManager);
  return {
    metadata: {
      resourceVersion: metadata.resourceVersion,
      labels: { [stackLabel]: null },
      annotations: { [checksumAnnotation]: null },
      // The API server ignores an empty list; one empty entry makes it forget all owners.
      managedFields: others.length > 0 ? others : [{}],
    },
  };
}
