import { healths, type ObjectHealth, type StackHealth, type Verdict, worstOf } from '../health/status.ts';
import { andMore, nameOf } from '../object/kube-object.ts';
import type { Sighting, StackSightings } from './object-cache.ts';

/** The contract takes no more. */
const maxObjects = 100;

/**
 * How a stack does: the worst of its objects. `details` has, for some of them, the reason that their dependents give. `outage` says why
 * the cluster cannot be asked, if so: then nothing is known.
 */
export function stackHealthOf(
  { entry, objects, settled }: StackSightings,
  details: ReadonlyMap<string, Verdict>,
  outage: string | undefined,
): StackHealth {
  const { stackId, deploymentId, generation } = entry;
  const about = { stackId, deploymentId, generation, objectCount: objects.size };
  if (outage !== undefined) return { ...about, health: 'unknown', message: outage, objects: [] };
  const ill: ObjectHealth[] = [];
  for (const [key, sighting] of objects) {
    const verdict = verdictOf(sighting, details.get(key), settled, entry.drift === 'repair');
    if (verdict.health !== 'healthy') ill.push({ object: sighting.id, ...verdict });
  }
  ill.sort((left, right) => healths.indexOf(right.health) - healths.indexOf(left.health));
  return { ...about, health: worstOf(ill), message: summaryOf(ill), objects: ill.slice(0, maxObjects) };
}

function verdictOf(
  { checksum, wanted, verdict }: Sighting,
  detail: Verdict | undefined,
  settled: boolean,
  isRepaired: boolean,
): Verdict {
  if (checksum === undefined) {
    if (!settled) return { health: 'progressing', message: 'it is not applied yet' };
    return isRepaired
      ? { health: 'progressing', message: 'it is gone, and is to be applied again' }
      : { health: 'failed', message: 'it is gone' };
  }
  // What was there before says nothing about the deployment that is to come.
  if (!settled && checksum !== wanted && verdict.health === 'healthy')
    return { health: 'progressing', message: 'its change is not applied yet' };
  return verdict.health === 'healthy' ? verdict : (detail ?? verdict);
}

function summaryOf(ill: readonly ObjectHealth[]): string {
  const [worst] = ill;
  if (!worst) return '';
  return `${nameOf(worst.object)}: ${worst.message}${andMore(ill)}`;
}
