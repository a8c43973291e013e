import { isDeepStrictEqual } from 'node:util';
import { ClusterError, hasStatus } from '../../kube/api-error.ts';
import type { Cluster } from '../../kube/cluster.ts';
import { type TakenFields, takenOver } from '../../object/field-set.ts';
import { type KubeObject, type ManagedFields, objectIdOf } from '../../object/kube-object.ts';
import { obstaclesTo } from './obstacles.ts';

/** Maximum number of tries of a write, because somebody else, such as a controller that reports a status, may write in between. */
const writeAttempts = 5;

/** Ownership that was taken over. */
export interface TakeOver {
  /** The object as it was right before. */
  readonly before: KubeObject;
  readonly taken: KubeObject;
}

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
        const fields = (now: KubeObject) => ({ paths: obstaclesTo(object, now, error.fieldCauses) });
        const takeover = live && (await takeOver(cluster, live, fields, signal));
        if (!takeover) throw error;
        try {
          return await cluster.apply(object, resource, options, signal);
        } catch (refusal) {
          if (hasStatus(refusal, 422)) await giveBack(cluster, takeover, signal);
          throw refusal;
        }
      }
    },
  };
}

/** Gives fields that were taken over back to the owners that they had, unless ownership of other fields has changed meanwhile. */
export async function giveBack(cluster: Cluster, { before, taken }: TakeOver, signal: AbortSignal): Promise<void> {
  const owners = ownersOf(before);
  await patchOwners(cluster, taken, signal, (now) =>
    // A status is not the agent's, so its owners stay as they are now.
    isDeepStrictEqual(ownersOf(now).ofContent, ownersOf(taken).ofContent)
      ? [...owners.ofContent, ...ownersOf(now).ofStatus]
      : undefined,
  );
}

/**
 * Makes the agent the only owner of fields, so that its next apply removes those that it does not desire. Nothing but the record of
 * ownership is written. `fieldsOf` is asked again about an object that somebody else wrote meanwhile. Returns undefined when there was
 * nothing to take, the object is gone, or others kept writing it.
 */
export async function takeOver(
  cluster: Cluster,
  live: KubeObject,
  fieldsOf: (live: KubeObject) => TakenFields,
  signal: AbortSignal,
): Promise<TakeOver | undefined> {
  return patchOwners(cluster, live, signal, (now) => {
    const fields = fieldsOf(now);
    const isEmpty = fields.managers === undefined && (fields.paths ?? []).length === 0;
    return isEmpty ? undefined : takenOver(now.metadata.managedFields ?? [], now.apiVersion, fields);
  });
}

/** Writes an object's owners, if `change` returns some for its present state. */
async function patchOwners(
  cluster: Cluster,
  live: KubeObject,
  signal: AbortSignal,
  change: (now: KubeObject) => ManagedFields[] | undefined,
): Promise<TakeOver | undefined> {
  let before: KubeObject | undefined = live;
  for (let attempt = 0; attempt < writeAttempts && before; attempt += 1) {
    const managedFields = change(before);
    if (!managedFields) return undefined;
    const { uid, resourceVersion }: KubeObject['metadata'] = before.metadata;
    try {
      const taken = await cluster.patch(objectIdOf(live), { metadata: { resourceVersion, managedFields } }, signal);
      return { before, taken };
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      if (!hasStatus(error, 409)) throw error;
    }
    before = await cluster.get(objectIdOf(live), signal);
    if (before?.metadata.uid !== uid) return undefined;
  }
  return undefined;
}

/** Splits an object's owners into those of its content and those of its status and other subresources. */
function ownersOf({ metadata }: KubeObject): { ofContent: ManagedFields[]; ofStatus: ManagedFields[] } {
  const isOfStatus = ({ subresource }: ManagedFields) => (subresource ?? '') !== '';
  const { managedFields = [] } = metadata;
  return {
    ofContent: managedFields.filter((owner) => !isOfStatus(owner)),
    ofStatus: managedFields.filter(isOfStatus),
  };
}
