import type { Core } from '../core/core.ts';
import { type KubeObject, listAt, numberAt, textAt, valueAt } from '../core/object.ts';
import { removeObject } from '../write/remove.ts';

/** Deletes Jobs that have ended once the time is over that they ask for with `ttlSecondsAfterFinished`. */
export function runFinishedJobsController(core: Core): void {
  const kind = core.kinds.byKind('batch/v1', 'Job')!;
  const remove = (seen: KubeObject) => {
    const { namespace, name, uid } = seen.metadata;
    if (core.store.get(kind.resource, namespace, name)?.metadata.uid !== uid) return;
    removeObject(core, kind, namespace, name, { body: { propagationPolicy: 'Background' } });
  };
  core.store.subscribe(({ resource, object, previous, deleted }) => {
    const seconds = numberAt(object, 'spec.ttlSecondsAfterFinished');
    if (resource !== kind.resource || deleted || seconds === undefined) return;
    if (hasEnded(object) && !(previous && hasEnded(previous)))
      core.schedule(Math.max(1, seconds * 1_000), () => remove(object));
  });
}

function hasEnded(job: KubeObject): boolean {
  return listAt(job, 'status.conditions').some(
    (condition) =>
      ['Complete', 'Failed'].includes(textAt(condition, 'type') ?? '') && valueAt(condition, 'status') === 'True',
  );
}
