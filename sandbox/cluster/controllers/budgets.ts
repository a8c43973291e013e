import type { Core } from '../core/core.ts';
import { type KubeObject, objectAt, valueAt } from '../core/object.ts';
import { writeStatus } from '../write/write.ts';
import { condition } from './pod-status.ts';

/** Computes disruption budgets: how many of the pods that each selects are ready, and how many have to be. */
export function runBudgetController(core: Core): void {
  const kind = core.kinds.byKind('policy/v1', 'PodDisruptionBudget')!;
  const compute = ({ metadata: { namespace, name, generation } }: KubeObject) => {
    const budget = core.store.get(kind.resource, namespace, name);
    if (!budget || budget.metadata.deletionTimestamp || budget.metadata.generation !== generation) return;
    const labels = Object.entries(objectAt(budget, 'spec.selector.matchLabels'));
    const pods = core.store
      .list('/pods', namespace)
      .filter(({ metadata }) => labels.every(([key, value]) => metadata.labels?.[key] === value));
    const wanted = valueAt(budget, 'spec.minAvailable');
    const desiredHealthy = typeof wanted === 'number' ? wanted : 0;
    const allowed = Math.max(0, pods.length - desiredHealthy);
    const isAllowed = allowed > 0;
    writeStatus(core, kind, budget, {
      observedGeneration: generation,
      disruptionsAllowed: allowed,
      currentHealthy: pods.length,
      desiredHealthy,
      expectedPods: pods.length,
      conditions: [condition('DisruptionAllowed', isAllowed, isAllowed ? 'SufficientPods' : 'InsufficientPods')],
    });
  };
  core.store.subscribe(({ resource, object, previous, deleted }) => {
    if (resource !== kind.resource || deleted) return;
    if (previous?.metadata.generation !== object.metadata.generation) core.schedule(1, () => compute(object));
  });
}
