import { at, isRecord, type KubeObject, listAt, textAt } from '../object/kube-object.ts';
import { conditionOf, failed, healthy, isFalse, isTrue, progressing, withReason } from './conditions.ts';
import type { Verdict } from './status.ts';

/** Waiting reasons of a container that do not resolve by themselves. */
const permanentReasons: ReadonlySet<string> = new Set([
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
]);
/** From this many restarts on, a container is not just waiting for something else to start. */
const failedRestarts = 3;

/** Evaluates a pod's health from its phase and its containers' states. */
export function healthOfPod(pod: KubeObject): Verdict {
  const phase = textAt(pod, 'status', 'phase');
  if (phase === 'Succeeded') return healthy;
  const problem = containerProblem(pod);
  if (phase === 'Failed') {
    const reason = withReason(textAt(pod, 'status', 'reason') ?? '', textAt(pod, 'status', 'message'));
    return failed(withReason('it failed', reason || problem?.message));
  }
  if (phase === 'Running' && isTrue(conditionOf(pod, 'Ready'))) return healthy;
  if (problem) return problem;
  const scheduled = conditionOf(pod, 'PodScheduled');
  if (isFalse(scheduled)) return progressing(withReason('it cannot be scheduled', scheduled?.message));
  return progressing(phase === 'Running' ? 'its containers are not ready yet' : `it is ${phase ?? 'not seen yet'}`);
}

/** Returns the first problem of a container that has failed, or else the first problem of any; undefined for none. */
function containerProblem(pod: KubeObject): Verdict | undefined {
  const problems = ['initContainerStatuses', 'containerStatuses']
    .flatMap((field) => listAt(pod, 'status', field))
    .flatMap((status) => problemOf(status) ?? []);
  return problems.find(({ health }) => health === 'failed') ?? problems[0];
}

/** Returns what keeps a container from running; undefined while nothing does. */
function problemOf(status: unknown): Verdict | undefined {
  const waiting = at(status, 'state', 'waiting');
  const restarts = Number(at(status, 'restartCount') ?? 0);
  if (isRecord(waiting)) {
    const reason = textAt(waiting, 'reason') ?? '';
    if (reason === '' || reason === 'ContainerCreating' || reason === 'PodInitializing') return undefined;
    const previous = at(status, 'lastState', 'terminated');
    const ended = isRecord(previous) && reason === 'CrashLoopBackOff' ? `; ${describeEnd(previous)}` : '';
    const message = withReason(reason, textAt(waiting, 'message')) + ended;
    const isPermanent = permanentReasons.has(reason) || (reason === 'CrashLoopBackOff' && restarts >= failedRestarts);
    return isPermanent ? failed(message) : progressing(message);
  }
  const terminated = at(status, 'state', 'terminated');
  if (!isRecord(terminated) || terminated.exitCode === 0) return undefined;
  return progressing(describeEnd(terminated));
}

function describeEnd(terminated: Readonly<Record<string, unknown>>): string {
  const reason = textAt(terminated, 'reason') ?? 'Error';
  return withReason(`it ended with ${reason}, exit code ${String(terminated.exitCode)}`, textAt(terminated, 'message'));
}
