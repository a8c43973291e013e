import type { KubeObject } from '../object/kube-object.ts';
import {
  type Condition,
  conditionOf,
  degraded,
  failed,
  healthy,
  isFalse,
  isTrue,
  notSeen,
  progressing,
  withReason,
} from './conditions.ts';
import type { Verdict } from './status.ts';

interface ConditionRule {
  readonly type: string;
  /** Returns what the condition says against the object; undefined for nothing. */
  readonly judge: (condition: Condition) => Verdict | undefined;
}

const whenTrue = (type: string, verdict: (text: string) => Verdict, statement: string): ConditionRule => ({
  type,
  judge: (condition) => (isTrue(condition) ? verdict(withReason(statement, reasonOf(condition))) : undefined),
});
const unlessTrue = (type: string, statement: string): ConditionRule => ({
  type,
  judge: (condition) => (isTrue(condition) ? undefined : progressing(withReason(statement, reasonOf(condition)))),
});

/** The conditions of kstatus (Stalled, Reconciling, Ready), and others that are as common; the first that says no decides. */
const conditionRules: readonly ConditionRule[] = [
  whenTrue('Stalled', failed, 'it is stalled'),
  whenTrue('Failed', failed, 'it failed'),
  whenTrue('Reconciling', progressing, 'it is being reconciled'),
  whenTrue('Degraded', degraded, 'it is degraded'),
  whenTrue('ReconcileError', degraded, 'its controller reports an error'),
  {
    type: 'Synced',
    judge: (condition) =>
      isFalse(condition)
        ? degraded(withReason('it is not synced', reasonOf(condition)))
        : unlessTrue('Synced', 'it is not synced yet').judge(condition),
  },
  unlessTrue('Ready', 'it is not ready'),
  unlessTrue('Available', 'it is not available'),
  unlessTrue('Healthy', 'it is not healthy'),
  unlessTrue('Accepted', 'it is not accepted'),
  unlessTrue('Programmed', 'it is not programmed'),
  unlessTrue('Reconciled', 'it is not reconciled'),
  unlessTrue('Installed', 'it is not installed'),
  unlessTrue('Succeeded', 'it has not succeeded'),
];

/** Evaluates a custom resource by its conditions. One that says nothing about the present generation says that it is not seen yet. */
export function healthOfCustom(object: KubeObject): Verdict {
  const generation = Number(object.metadata.generation ?? 0);
  for (const { type, judge } of conditionRules) {
    const condition = conditionOf(object, type);
    if (!condition) continue;
    if (condition.observedGeneration !== undefined && condition.observedGeneration < generation) return notSeen;
    const verdict = judge(condition);
    if (verdict) return verdict;
  }
  return healthy;
}

function reasonOf({ message, reason }: Condition): string {
  return message || reason;
}
