import { verdictOfEnded } from '../health/run.ts';
import { healths, type ObjectHealth, type StackHealth, type Verdict, worstOf } from '../health/status.ts';
import { andMore, displayName } from '../object/kube-object.ts';
import type { CachedObject } from './cached-object.ts';
import type { CachedStack } from './object-cache.ts';

/** The contract takes no more. */
const maxObjects = 100;

/**
 * Aggregates the health of a stack: that of its worst object. `details` has reasons that were found at an object's pods, by object
 * key. With an `outage`, the reason why the cluster cannot be asked, the health is unknown.
 */
export function stackHealthOf(
  { entry, objects, isSettled }: CachedStack,
  details: ReadonlyMap<string, Verdict>,
  outage: string | undefined,
): StackHealth {
  const { stackId, deploymentId, generation } = entry;
  const subject = { stackId, deploymentId, generation, objectCount: objects.size };
  if (outage !== undefined) return { ...subject, health: 'unknown', message: outage, objects: [] };
  const unhealthy: ObjectHealth[] = [];
  for (const [key, cached] of objects) {
    const verdict = verdictOf(cached, details.get(key), isSettled, entry.drift === 'repair');
    if (verdict.health !== 'healthy') unhealthy.push({ object: cached.id, ...verdict });
  }
  unhealthy.sort((left, right) => healths.indexOf(right.health) - healths.indexOf(left.health));
  return {
    ...subject,
    health: worstOf(unhealthy),
    message: summaryOf(unhealthy),
    objects: unhealthy.slice(0, maxObjects),
  };
}

function verdictOf(
  { checksum, desired, verdict, run }: CachedObject,
  detail: Verdict | undefined,
  isSettled: boolean,
  isRepaired: boolean,
): Verdict {
  if (checksum === undefined) {
    const end = verdictOfEnded(run, desired);
    if (end) return end;
    if (!isSettled) return { health: 'progressing', message: 'it is not applied yet' };
    return isRepaired
      ? { health: 'progressing', message: 'it is gone, and is to be applied again' }
      : { health: 'failed', message: 'it is gone' };
  }
  // The health of the previous object says nothing about the deployment that is to come.
  if (!isSettled && checksum !== desired && verdict.health === 'healthy')
    return { health: 'progressing', message: 'its change is not applied yet' };
  return verdict.health === 'healthy' ? verdict : (detail ?? verdict);
}

function summaryOf(unhealthy: readonly ObjectHealth[]): string {
  const [worst] = unhealthy;
  if (!worst) return '';
  return `${displayName(worst.object)}: ${worst.message}${andMore(unhealthy)}`;
}
