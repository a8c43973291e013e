import { checksumOf } from '../object/compare.ts';
import { groupKindOf, type KubeObject, textAt, valueAt } from '../object/kube-object.ts';
import { hasEnded, type Run, type RunOutcome } from '../object/run.ts';
import { conditionOf, failed, healthy, isTrue } from './conditions.ts';
import type { Verdict } from './status.ts';

/** Returns the run of an object that the agent has applied; undefined for a kind that does not run to an end. */
export function runOf(object: KubeObject): Run | undefined {
  const checksum = checksumOf(object);
  const { uid } = object.metadata;
  const expires = hasExpiry(object);
  const groupKind = groupKindOf(object);
  if (checksum === undefined || uid === undefined) return undefined;
  if (!expires && groupKind !== 'batch/Job' && groupKind !== '/Pod') return undefined;
  return { uid, checksum, outcome: outcomeOf(object), expires };
}

/** Returns the run of an object that was deleted, as it was then. */
export function deletedRunOf(object: KubeObject): Run | undefined {
  const run = runOf(object);
  return run && !hasEnded(run) ? { ...run, outcome: 'cut off' } : run;
}

/**
 * Returns the health of an object that is gone as it should be, since it has run to its end with this content; undefined for one that
 * has to be applied. A run whose end nobody saw is not repeated when the object asked for its own removal: it may have succeeded.
 */
export function verdictOfEnded(run: Run | undefined, checksum: string): Verdict | undefined {
  if (run?.checksum !== checksum) return undefined;
  switch (run.outcome) {
    case 'succeeded':
      return healthy;
    case 'failed':
      return run.expires ? failed('it failed, and was removed after its end; a change of it runs it again') : undefined;
    case 'begun':
      return run.expires ? unseenEnd : undefined;
    case 'cut off':
      return undefined;
  }
}

const unseenEnd: Verdict = {
  health: 'unknown',
  message: 'it is gone, as it asks to be after its end, but how it ended was not seen; a change of it runs it again',
};

/** Returns whether the object asks to be removed once it has ended. */
export function hasExpiry(object: KubeObject): boolean {
  const paths = [['ttlSecondsAfterFinished'], ['runPolicy', 'ttlSecondsAfterFinished'], ['ttlStrategy']];
  return paths.some((path) => (valueAt(object, 'spec', ...path) ?? undefined) !== undefined);
}

function outcomeOf(object: KubeObject): RunOutcome {
  const hasCondition = (...types: readonly string[]) => types.some((type) => isTrue(conditionOf(object, type)));
  const phase = textAt(object, 'status', 'phase');
  if (phase === 'Failed' || phase === 'Error' || hasCondition('Failed')) return 'failed';
  const isDone = phase === 'Succeeded' || phase === 'Completed' || hasCondition('Complete', 'Completed', 'Succeeded');
  return isDone ? 'succeeded' : 'begun';
}
