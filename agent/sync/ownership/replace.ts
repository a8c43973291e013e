import { conditionOf, isTrue } from '../../health/conditions.ts';
import { describeTerminatingObject } from '../../health/terminating.ts';
import type { Inventory, InventoryItem } from '../../inventory/inventory.ts';
import { hasStatus, isUnreachable } from '../../kube/api-error.ts';
import type { Cluster } from '../../kube/cluster.ts';
import { checksumOf } from '../../object/compare.ts';
import type { DesiredObject } from '../../object/desired-object.ts';
import {
  groupKindOf,
  isAppliedFor,
  isPruneDisabled,
  type KubeObject,
  keyOf,
  replaceAnnotation,
  replaceSetting,
} from '../../object/kube-object.ts';
import type { Change } from '../../target/stack-event.ts';
import type { Entry } from '../../target/target-state.ts';
import type { BeforeApply } from '../apply.ts';
import type { Pass, SyncContext } from '../context.ts';
import { createFence, fenceMaxAgeMs } from '../fencing.ts';
import { untilGone } from '../prune.ts';

/** The decision about an object of which a field may not be changed. */
export type Replacement =
  | { readonly kind: 'replace'; readonly item: InventoryItem }
  /** It stays as it is; the note says why, and what would have it replaced. */
  | { readonly kind: 'keep'; readonly note: string };

/**
 * Decides whether an object is deleted and created again, because the API server refuses to change one of its fields. It must be asked
 * for, by an annotation of the object or a setting of its stack, except for a Job that has ended; the revision must change the object; and
 * the live object must be the one that the stack has applied. Pure.
 */
export function decideReplacement(
  { stackId, forceReplace }: Pick<Entry, 'stackId' | 'forceReplace'>,
  { id, object, checksum }: DesiredObject,
  live: KubeObject | undefined,
  recorded: InventoryItem | undefined,
): Replacement {
  const setting = replaceSetting(object);
  const isWanted = setting ?? (forceReplace || (live !== undefined && isEndedJob(live)));
  if (!isWanted) return { kind: 'keep', note: setting === false ? '' : howToReplace(id) };
  const uid = live?.metadata.uid;
  if (!live || uid === undefined || recorded?.uid !== uid || !isAppliedFor(live, stackId))
    return { kind: 'keep', note: 'it is not replaced, since this stack did not create it' };
  // Otherwise an object that the cluster itself changes at its creation would be replaced, and a Job run, again and again.
  if (checksumOf(live) === checksum)
    return { kind: 'keep', note: 'it is not replaced, since it was created with this content' };
  if (isPruneDisabled(live) || isPruneDisabled(object))
    return { kind: 'keep', note: 'it is not replaced, since its deletion is disabled' };
  if ((live.metadata.ownerReferences?.length ?? 0) > 0)
    return { kind: 'keep', note: 'it is not replaced, since it belongs to another object' };
  return { kind: 'replace', item: { id, uid } };
}

/**
 * Asks the API server whether it would create an object anew, by a dry run under another name. Returns the reason why not; a refusal
 * only because the live object still has what the new one needs is none.
 */
export async function creationObstacle(
  cluster: Cluster,
  { id, object }: DesiredObject,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { name: _, ...metadata } = object.metadata;
  const name = `${id.name.slice(0, 40).replace(/[^a-z0-9]+$/, '')}-replaced`;
  const resource = await cluster.discovery.find(id.apiVersion, id.kind, signal);
  // The name of a definition, and of what names a kind or a group, is fixed by its content.
  if (!resource || fixedNames.has(groupKindOf(id))) return undefined;
  try {
    await cluster.apply(
      { ...object, metadata: { ...metadata, name } },
      resource,
      { dryRun: true, force: true },
      signal,
    );
    return undefined;
  } catch (error) {
    if (signal.aborted || isUnreachable(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const isTaken = /already allocated|exceeded quota|does not support dry run/i.test(message);
    return isTaken ? undefined : `it could not be created again: ${message}`;
  }
}

/** Returns what deletes the live object before the new one is applied. Rejects when another process has begun something newer. */
export function deleteBeforeApply(
  { cluster, inventories }: SyncContext,
  { signal }: Pick<Pass, 'signal'>,
  recorded: Inventory,
  replacements: ReadonlyMap<string, InventoryItem>,
): BeforeApply {
  const fence = createFence(inventories, recorded, signal);
  return async ({ id }) => {
    const item = replacements.get(keyOf(id));
    if (!item) return undefined;
    await fence(fenceMaxAgeMs);
    try {
      await cluster.remove(id, item.uid, signal);
      const left = await untilGone(cluster, item, signal);
      return left && failure(id, `it is replaced, and has to go first: ${describeTerminatingObject(left)}`);
    } catch (error) {
      if (signal.aborted || isUnreachable(error)) throw error;
      // Somebody recreated it meanwhile: it is not what was to be replaced.
      if (hasStatus(error, 409)) return failure(id, 'it was recreated by somebody else meanwhile');
      return failure(id, error instanceof Error ? error.message : String(error));
    }
  };
}

/** Returns the changes; those of replaced objects say so. */
export function explainReplacements(changes: readonly Change[], replaced: ReadonlyMap<string, unknown>): Change[] {
  return changes.map((change) =>
    change.action === 'created' && replaced.has(keyOf(change.object))
      ? { ...change, message: 'replaced: deleted and created again, since a field of it may not be changed' }
      : change,
  );
}

const fixedNames: ReadonlySet<string> = new Set([
  'apiextensions.k8s.io/CustomResourceDefinition',
  'apiregistration.k8s.io/APIService',
]);

function howToReplace(id: DesiredObject['id']): string {
  const isJob = groupKindOf(id) === 'batch/Job';
  const itself = isJob ? 'it is replaced once it has ended' : 'it is not replaced by itself';
  return `${itself}; the annotation ${replaceAnnotation}: "true" has it deleted and created again`;
}

function isEndedJob(live: KubeObject): boolean {
  return groupKindOf(live) === 'batch/Job' && ['Complete', 'Failed'].some((type) => isTrue(conditionOf(live, type)));
}

function failure(object: DesiredObject['id'], message: string): Change {
  return { object, action: 'failed', message };
}
