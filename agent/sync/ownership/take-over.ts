import { ClusterError, hasStatus } from '../../kube/api-error.ts';
import type { Cluster } from '../../kube/cluster.ts';
import { type TakenFields, takenOver } from '../../object/field-set.ts';
import { type KubeObject, objectIdOf } from '../../object/kube-object.ts';
import { obstaclesTo } from './obstacles.ts';

/**
 * Returns the same cluster, except that an apply with `takesObstacles` goes on where fields of others make its result invalid: it
 * takes over the ownership of these fields, which changes no content, and applies once more, which removes them. Everything else of
 * the object stays whose it is.
 */
export function withoutObstacles(cluster: Cluster): Cluster {
  return {
    ...cluster,
    async apply(object, resource, options, signal) {
      try {
        return await cluster.apply(object, resource, options, signal);
      } catch (error) {
        const isCurable = options.takesObstacles === true && options.force && error instanceof ClusterError;
        if (!isCurable || !hasStatus(error, 422)) throw error;
        const live = await cluster.get(objectIdOf(object), signal);
        const paths = live ? obstaclesTo(object, live, error.fieldCauses) : [];
        const taken = live && paths.length > 0 ? await takeOver(cluster, live, { paths }, signal) : undefined;
        if (!live || !taken) throw error;
        try {
          return await cluster.apply(object, resource, options, signal);
        } catch (refusal) {
          if (hasStatus(refusal, 422)) await giveBack(cluster, live, taken, signal);
          throw refusal;
        }
      }
    },
  };
}

/** Gives fields that were taken over back to the owners that they had in `before`, unless somebody wrote the object meanwhile. */
export async function giveBack(
  cluster: Cluster,
  before: KubeObject,
  taken: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  const { resourceVersion } = taken.metadata;
  const { managedFields } = before.metadata;
  try {
    await cluster.patch(objectIdOf(before), { metadata: { resourceVersion, managedFields } }, signal);
  } catch (error) {
    if (!hasStatus(error, 409) && !hasStatus(error, 404)) throw error;
  }
}

/**
 * Makes the agent the only owner of fields, so that its next apply removes those that it does not desire. Nothing but the record of
 * ownership is written. Returns the object as it was written; undefined when there was nothing to take, or somebody else wrote the
 * object meanwhile.
 */
export async function takeOver(
  cluster: Cluster,
  live: KubeObject,
  fields: TakenFields,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const { resourceVersion, managedFields: owners = [] } = live.metadata;
  const managedFields = takenOver(owners, live.apiVersion, fields);
  if (!managedFields) return undefined;
  try {
    return await cluster.patch(objectIdOf(live), { metadata: { resourceVersion, managedFields } }, signal);
  } catch (error) {
    if (hasStatus(error, 409) || hasStatus(error, 404)) return undefined;
    throw error;
  }
}
