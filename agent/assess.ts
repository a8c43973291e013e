import type { Verdict } from './health.ts';
import { at, type KubeObject, listAt, textAt } from './object.ts';

/** How an object does, by what it says itself. */
export function assess(object: KubeObject): Verdict {
  const progressing = (message: string): Verdict => ({ health: 'progressing', message });
  const number = (...path: string[]) => {
    const found = at(object, ...path);
    return typeof found === 'number' ? found : undefined;
  };
  if (object.metadata.deletionTimestamp !== undefined) return progressing('it is being deleted');
  const observed = number('status', 'observedGeneration');
  const isWorkload = ['Deployment', 'StatefulSet', 'ReplicaSet'].includes(object.kind);
  if (isWorkload || observed !== undefined) {
    if ((observed ?? 0) < Number(object.metadata.generation ?? 0)) return progressing('its change was not seen yet');
  }
  if (isWorkload) {
    const wanted = number('spec', 'replicas') ?? 1;
    const ready = Math.min(
      number('status', 'readyReplicas') ?? 0,
      number('status', 'updatedReplicas') ?? number('status', 'readyReplicas') ?? 0,
    );
    if (ready < wanted) return progressing(`${ready} of ${wanted} replicas ready`);
  }
  for (const condition of listAt(object, 'status', 'conditions')) {
    const type = textAt(condition, 'type');
    const value = textAt(condition, 'status');
    const message = textAt(condition, 'message') ?? '';
    if (value === 'True' && (type === 'Failed' || type === 'Stalled')) return { health: 'failed', message };
    if (value === 'False' && (type === 'Ready' || type === 'Established')) return progressing(message);
  }
  if (object.kind === 'Job' && (number('status', 'succeeded') ?? 0) < (number('spec', 'completions') ?? 1))
    return progressing('it is not complete');
  return { health: 'healthy', message: '' };
}
