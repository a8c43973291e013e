import type { Cluster } from '../kube/cluster.ts';
import { checksumOf } from '../object/compare.ts';
import { type KubeObject, keyOf, objectIdOf } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import type { SyncContext } from './context.ts';
import { withoutObstacles } from './ownership/take-over.ts';

/**
 * Narrows the agent's context to one stack: requests are made as the stack's ServiceAccount, and an apply takes fields over from
 * other managers only when the stack's conflict policy allows it.
 */
export function contextForStack(
  { stackId, serviceAccount, conflict }: Pick<Entry, 'stackId' | 'serviceAccount' | 'conflict'>,
  context: SyncContext,
): SyncContext {
  const account = serviceAccount === '' ? context.cluster : context.cluster.impersonate(serviceAccount);
  const cluster = recordingWrites(withoutObstacles(account), stackId, context);
  // The stack applied this object with the same content before: repairing it takes nothing over.
  const isOwn = (object: KubeObject) =>
    context.objectCache.get(stackId)?.objects.get(keyOf(objectIdOf(object)))?.checksum === checksumOf(object);
  return { ...context, cluster: conflict === 'refuse' ? withoutForce(cluster, isOwn) : cluster };
}

/** Records each apply in the object cache, so that the watch does not take it for a change by somebody else. */
function recordingWrites(
  cluster: Cluster,
  stackId: string,
  { objectCache }: Pick<SyncContext, 'objectCache'>,
): Cluster {
  return {
    ...cluster,
    async apply(object, resource, options, signal) {
      const askedAt = performance.now();
      const applied = await cluster.apply(object, resource, options, signal);
      if (!options.dryRun) objectCache.wrote(stackId, applied.object, askedAt);
      return applied;
    },
  };
}

function withoutForce(cluster: Cluster, isOwn: (object: KubeObject) => boolean): Cluster {
  return {
    ...cluster,
    apply: (object, resource, options, signal) =>
      cluster.apply(object, resource, { ...options, force: isOwn(object) }, signal),
  };
}

/** Returns the uids of the objects of the agent's other stacks, as far as the object cache has seen them. */
export function uidsOfOtherStacks({ objectCache, ownership }: SyncContext, stackId: string): Set<string> {
  const others = [...objectCache.stackIds()].filter((other) => other !== stackId);
  const uids = others.flatMap((other) =>
    [...(objectCache.get(other)?.objects ?? [])].flatMap(([key, { uid }]) =>
      uid !== '' && ownership.ownerOf(key) === other ? [uid] : [],
    ),
  );
  return new Set(uids);
}
