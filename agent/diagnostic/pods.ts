import { mapConcurrent } from '../concurrency/semaphore.ts';
import { healthOf } from '../health/evaluate.ts';
import { healths } from '../health/status.ts';
import type { Cluster } from '../kube/cluster.ts';
import { at, idOf, isRecord, type KubeObject, listAt, textAt } from '../object/kube-object.ts';
import type { Notes } from './notes.ts';
import { diagnosisConcurrency } from './owned-objects.ts';

export interface PodFinding {
  readonly namespace: string;
  readonly name: string;
  readonly phase: string;
  readonly node: string;
  readonly message: string;
  readonly containers: readonly ContainerFinding[];
}

export interface ContainerFinding {
  readonly name: string;
  readonly state: string;
  readonly restarts: number;
  readonly ready: boolean;
  readonly logLines: readonly string[];
}

const maxPods = 100;
const maxContainers = 50;
const maxLogLines = 100;
const maxLineLength = 1_000;
/** Maximum log bytes of one container, and of a whole report. */
const containerLogBytes = 32 << 10;
const reportLogBytes = 300 << 10;

/** Describes pods, unhealthy ones first, each with the last log lines of its containers. */
export async function describePods(
  cluster: Cluster,
  pods: readonly KubeObject[],
  notes: Notes,
  signal: AbortSignal,
): Promise<PodFinding[]> {
  const sorted = pods
    .map((pod) => ({ pod, verdict: healthOf(pod) }))
    .sort((left, right) => healths.indexOf(right.verdict.health) - healths.indexOf(left.verdict.health));
  if (sorted.length > maxPods) notes.add(`${sorted.length - maxPods} more pods were left out`);
  let remainingBytes = reportLogBytes;
  const readLastLines = async (pod: KubeObject, status: unknown, container: string): Promise<string[]> => {
    if (!hasRun(status) || remainingBytes <= 0) return [];
    // Reserved before the request, because several logs are read at the same time.
    const reservedBytes = Math.min(remainingBytes, containerLogBytes);
    remainingBytes -= reservedBytes;
    const text = await notes.attempt(`log of ${pod.metadata.name}/${container}`, () =>
      cluster.readLog(idOf(pod), { container, lines: maxLogLines, bytes: reservedBytes }, signal),
    );
    remainingBytes += reservedBytes - Buffer.byteLength(text ?? '');
    return lastLines(text ?? '', reservedBytes);
  };
  const findings = await mapConcurrent(sorted.slice(0, maxPods), diagnosisConcurrency, async ({ pod, verdict }) => {
    const statuses = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses']
      .flatMap((field) => listAt(pod, 'status', field))
      .slice(0, maxContainers);
    const containers = await mapConcurrent(statuses, 1, async (status): Promise<ContainerFinding> => {
      const name = textAt(status, 'name') ?? '';
      const logLines = await readLastLines(pod, status, name);
      return {
        name,
        state: describeState(status),
        restarts: restartsOf(status),
        ready: at(status, 'ready') === true,
        logLines,
      };
    });
    const { namespace = '', name } = pod.metadata;
    const phase = textAt(pod, 'status', 'phase') ?? '';
    const node = textAt(pod, 'spec', 'nodeName') ?? '';
    return { namespace, name, phase, node, message: verdict.message, containers };
  });
  if (remainingBytes <= 0) notes.add('some logs were left out: they would not fit');
  return findings;
}

/** Returns the end of a text in lines, at most `maxBytes` characters. */
function lastLines(text: string, maxBytes: number): string[] {
  const lines = text.slice(-maxBytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.slice(-maxLogLines).map((line) => line.slice(0, maxLineLength));
}

function restartsOf(status: unknown): number {
  return Number(at(status, 'restartCount') ?? 0);
}

/** Returns whether the container has a log: it runs, or has run before. */
function hasRun(status: unknown): boolean {
  const state = at(status, 'state');
  const hasStarted = isRecord(state) && (state.running !== undefined || state.terminated !== undefined);
  return hasStarted || restartsOf(status) > 0;
}

function describeState(status: unknown): string {
  const join = (...parts: (string | undefined)[]) => parts.filter((part) => part).join(': ');
  const stateOf = (name: string) => at(status, 'state', name);
  const describeEnd = (state: unknown) =>
    join(`exit code ${Number(at(state, 'exitCode') ?? 0)}`, textAt(state, 'reason'), textAt(state, 'message'));
  if (stateOf('running') !== undefined) return 'running';
  if (stateOf('terminated') !== undefined) return join('terminated', describeEnd(stateOf('terminated')));
  const previous = at(status, 'lastState', 'terminated');
  const previousEnd = previous === undefined ? undefined : `before that, ${describeEnd(previous)}`;
  return join('waiting', textAt(stateOf('waiting'), 'reason'), textAt(stateOf('waiting'), 'message'), previousEnd);
}
