import { at, isRecord, type KubeObject, listAt, textAt } from '../object/kube-object.ts';
import { conditionOf, failed, healthy, isFalse, isTrue, progressing, words } from './conditions.ts';
import type { Verdict } from './status.ts';

/** States of a container that do not pass by themselves. */
const hopeless: ReadonlySet<string> = new Set([
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
]);
/** Starting over so often is more than waiting for something else to come up. */
const hopelessRestarts = 3;

/** How a pod does, with what its containers say. */
export function healthOfPod(pod: KubeObject): Verdict {
  const phase = textAt(pod, 'status', 'phase');
  if (phase === 'Succeeded') return healthy;
  const trouble = troubleOf(pod);
  if (phase === 'Failed') {
    const why = words(textAt(pod, 'status', 'reason') ?? '', textAt(pod, 'status', 'message'));
    return failed(words('it failed', why || trouble?.message));
  }
  if (phase === 'Running' && isTrue(conditionOf(pod, 'Ready'))) return healthy;
  if (trouble) return trouble;
  const scheduled = conditionOf(pod, 'PodScheduled');
  if (isFalse(scheduled)) return progressing(words('it cannot be scheduled', scheduled?.message));
  return progressing(phase === 'Running' ? 'its containers are not ready yet' : `it is ${phase ?? 'not seen yet'}`);
}

/** The worst of what its containers wait for or ended with. */
function troubleOf(pod: KubeObject): Verdict | undefined {
  let trouble: Verdict | undefined;
  for (const list of ['initContainerStatuses', 'containerStatuses'])
    for (const status of listAt(pod, 'status', list)) {
      const one = containerTrouble(status);
      if (one && (trouble === undefined || (trouble.health !== 'failed' && one.health === 'failed'))) trouble = one;
    }
  return trouble;
}

function containerTrouble(status: unknown): Verdict | undefined {
  const waiting = at(status, 'state', 'waiting');
  const restarts = Number(at(status, 'restartCount') ?? 0);
  if (isRecord(waiting)) {
    const reason = textAt(waiting, 'reason') ?? '';
    if (reason === '' || reason === 'ContainerCreating' || reason === 'PodInitializing') return undefined;
    const last = at(status, 'lastState', 'terminated');
    const ended = isRecord(last) && reason === 'CrashLoopBackOff' ? `; ${endOf(last)}` : '';
    const message = words(reason, textAt(waiting, 'message')) + ended;
    const isHopeless = hopeless.has(reason) || (reason === 'CrashLoopBackOff' && restarts >= hopelessRestarts);
    return isHopeless ? failed(message) : progressing(message);
  }
  const terminated = at(status, 'state', 'terminated');
  if (!isRecord(terminated) || terminated.exitCode === 0) return undefined;
  return progressing(endOf(terminated));
}

function endOf(terminated: Readonly<Record<string, unknown>>): string {
  const reason = textAt(terminated, 'reason') ?? 'Error';
  return words(`it ended with ${reason}, exit code ${String(terminated.exitCode)}`, textAt(terminated, 'message'));
}
