import { mapConcurrent } from '../concurrency/semaphore.ts';
import { healthOf } from '../health/evaluate.ts';
import { healths } from '../health/status.ts';
import type { Cluster } from '../kube/cluster.ts';
import {
  at,
  idOf,
  isRecord,
  type KindId,
  type KubeObject,
  keyOf,
  kindName,
  listAt,
  nameOf,
  textAt,
} from '../object/kube-object.ts';
import { selectorOf } from '../object/label-selector.ts';
import type { Notes } from './collect.ts';

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

/** What belongs to a stack's objects, by owner references. */
export interface Parts {
  readonly pods: readonly KubeObject[];
  /** With what is between pods and objects. */
  readonly all: readonly KubeObject[];
  /** Revisions of a workload, newest first, by its key. */
  readonly rollouts: ReadonlyMap<string, readonly string[]>;
}

const maxPods = 100;
const maxContainers = 50;
const maxRevisions = 20;
const logLines = 100;
const maxLine = 1_000;
/** Of one container, and of a whole report. */
const logBytes = 32 << 10;
const allLogBytes = 300 << 10;
const concurrency = 4;

const replicaSets = { apiVersion: 'apps/v1', kind: 'ReplicaSet' } as const;
const revisions = { apiVersion: 'apps/v1', kind: 'ControllerRevision' } as const;
const jobs = { apiVersion: 'batch/v1', kind: 'Job' } as const;
const pods = { apiVersion: 'v1', kind: 'Pod' } as const;

export async function findParts(
  cluster: Cluster,
  objects: readonly KubeObject[],
  notes: Notes,
  signal: AbortSignal,
): Promise<Parts> {
  const all: KubeObject[] = [];
  const found: KubeObject[] = [];
  const rollouts = new Map<string, string[]>();
  const owned = async (owner: KubeObject, kind: KindId) => {
    const labelSelector = selectorOf(owner);
    const selection = {
      namespace: owner.metadata.namespace ?? '',
      ...(labelSelector !== undefined && { labelSelector }),
    };
    const mine: KubeObject[] = [];
    await notes.attempt(`${kind.kind}s of ${nameOf(idOf(owner))}`, async () => {
      for await (const page of cluster.listPages(kind, selection, signal))
        for (const object of page)
          if (object.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid)) mine.push(object);
    });
    return mine;
  };
  const look = async (object: KubeObject): Promise<void> => {
    switch (kindName(object)) {
      case 'Pod':
        found.push(object);
        return;
      case 'apps/Deployment': {
        const sets = await owned(object, replicaSets);
        all.push(...sets);
        rollouts.set(keyOf(idOf(object)), history(sets.map((set) => [revisionOf(set), setText(set)])));
        // Sets of earlier revisions that have no pods any more need not be asked.
        for (const set of sets) if (at(set, 'status', 'replicas') !== 0) found.push(...(await owned(set, pods)));
        return;
      }
      case 'apps/StatefulSet':
      case 'apps/DaemonSet': {
        const kept = await owned(object, revisions);
        const texts = kept.map((one): [number, string] => [
          Number(at(one, 'revision') ?? 0),
          `${one.metadata.name}${marksOf(object, one)}`,
        ]);
        rollouts.set(keyOf(idOf(object)), history(texts));
        found.push(...(await owned(object, pods)));
        return;
      }
      case 'batch/CronJob': {
        const made = await owned(object, jobs);
        all.push(...made);
        for (const job of made) found.push(...(await owned(job, pods)));
        return;
      }
      case 'apps/ReplicaSet':
      case 'batch/Job':
      case 'ReplicationController':
        found.push(...(await owned(object, pods)));
    }
  };
  await mapConcurrent(objects, concurrency, look);
  const distinct = [...new Map(found.map((pod) => [pod.metadata.uid, pod])).values()];
  return { pods: distinct, all: [...all, ...distinct], rollouts };
}

/** Pods that do not do well first, each with the last lines of its containers. */
export async function reportPods(
  cluster: Cluster,
  found: readonly KubeObject[],
  notes: Notes,
  signal: AbortSignal,
): Promise<PodFinding[]> {
  const judged = found.map((pod) => ({ pod, verdict: healthOf(pod) }));
  judged.sort((left, right) => healths.indexOf(right.verdict.health) - healths.indexOf(left.verdict.health));
  if (judged.length > maxPods) notes.add(`${judged.length - maxPods} more pods were left out`);
  let left = allLogBytes;
  const linesOf = async (pod: KubeObject, status: unknown, container: string): Promise<string[]> => {
    if (!hasRun(status) || left <= 0) return [];
    const allowed = Math.min(left, logBytes);
    left -= allowed;
    const text = await notes.attempt(`log of ${pod.metadata.name}/${container}`, () =>
      cluster.readLog(idOf(pod), { container, lines: logLines, bytes: allowed }, signal),
    );
    left += allowed - Buffer.byteLength(text ?? '');
    return lastLines(text ?? '', allowed);
  };
  const reports = await mapConcurrent(judged.slice(0, maxPods), concurrency, async ({ pod, verdict }) => {
    const statuses = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses']
      .flatMap((field) => listAt(pod, 'status', field))
      .slice(0, maxContainers);
    const containers = await mapConcurrent(statuses, 1, async (status): Promise<ContainerFinding> => {
      const name = textAt(status, 'name') ?? '';
      return {
        name,
        state: stateText(status),
        restarts: Number(at(status, 'restartCount') ?? 0),
        ready: at(status, 'ready') === true,
        logLines: await linesOf(pod, status, name),
      };
    });
    const { namespace = '', name } = pod.metadata;
    const phase = textAt(pod, 'status', 'phase') ?? '';
    const node = textAt(pod, 'spec', 'nodeName') ?? '';
    return { namespace, name, phase, node, message: verdict.message, containers };
  });
  if (left <= 0) notes.add('some logs were left out: they would not fit');
  return reports;
}

/** The end of a text, in whole lines. */
function lastLines(text: string, mostBytes: number): string[] {
  const lines = text.slice(-mostBytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.slice(-logLines).map((line) => line.slice(0, maxLine));
}

function hasRun(status: unknown): boolean {
  const state = at(status, 'state');
  const isThere = isRecord(state) && (state.running !== undefined || state.terminated !== undefined);
  return isThere || Number(at(status, 'restartCount') ?? 0) > 0;
}

function stateText(status: unknown): string {
  const join = (...parts: (string | undefined)[]) => parts.filter((part) => part).join(': ');
  const of = (name: string) => at(status, 'state', name);
  const ended = (state: unknown) =>
    join(`exit code ${Number(at(state, 'exitCode') ?? 0)}`, textAt(state, 'reason'), textAt(state, 'message'));
  if (of('running') !== undefined) return 'running';
  if (of('terminated') !== undefined) return join('terminated', ended(of('terminated')));
  const before = at(status, 'lastState', 'terminated');
  const last = before === undefined ? undefined : `before that, ${ended(before)}`;
  return join('waiting', textAt(of('waiting'), 'reason'), textAt(of('waiting'), 'message'), last);
}

function history(entries: readonly [number, string][]): string[] {
  return entries
    .toSorted(([left], [right]) => right - left)
    .slice(0, maxRevisions)
    .map(([revision, text]) => `${revision}: ${text}`);
}

function revisionOf({ metadata }: KubeObject): number {
  return Number(metadata.annotations?.['deployment.kubernetes.io/revision'] ?? 0);
}

function setText(set: KubeObject): string {
  const wanted = Number(at(set, 'spec', 'replicas') ?? 0);
  return `${set.metadata.name} (${Number(at(set, 'status', 'readyReplicas') ?? 0)} of ${wanted} ready)`;
}

function marksOf(owner: KubeObject, { metadata }: KubeObject): string {
  const marks = [
    textAt(owner, 'status', 'currentRevision') === metadata.name ? 'current' : undefined,
    textAt(owner, 'status', 'updateRevision') === metadata.name ? 'wanted' : undefined,
  ].filter((mark) => mark !== undefined);
  return marks.length > 0 ? ` (${marks.join(', ')})` : '';
}
