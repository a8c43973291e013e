import { stringify } from 'yaml';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import { healthOf } from '../health/evaluate.ts';
import { explainHealth, hasDetail } from '../health/pod-diagnosis.ts';
import { type Health, healths } from '../health/status.ts';
import type { Inventories } from '../inventory/inventory.ts';
import type { Cluster } from '../kube/cluster.ts';
import { passConcurrency, readLive } from '../kube/read-objects.ts';
import type { KubeEvent } from '../object/event.ts';
import { displayName, groupOf, type KubeObject, keyOf, type ObjectId } from '../object/kube-object.ts';
import { redactObject } from '../object/redact.ts';
import { eventsAbout } from './events.ts';
import { createNotes, type Notes } from './notes.ts';
import { findOwnedObjects } from './owned-objects.ts';
import { describePods, type PodFinding } from './pods.ts';

/** A request of the broker to diagnose a stack, or one object of it. */
export interface DiagnosisRequest {
  readonly id: string;
  readonly stackId: string;
  /** Object to diagnose; undefined for all of the stack. Its namespace may be empty where the agent fills one in. */
  readonly object: ObjectId | undefined;
}

export interface ObjectFinding {
  readonly object: ObjectId;
  readonly health: Health;
  readonly message: string;
  /** Empty when the object does not exist, or its YAML was left out. */
  readonly yaml: string;
  /** Revisions of a workload, newest first. */
  readonly rollout: readonly string[];
}

/** The findings of a diagnosis. */
export interface Findings {
  readonly objects: readonly ObjectFinding[];
  readonly pods: readonly PodFinding[];
  readonly events: readonly KubeEvent[];
  /** Sentences about what could not be read, or was left out. */
  readonly notes: readonly string[];
}

/** There is nothing to diagnose. */
export class DiagnosisError extends Error {
  override readonly name = 'DiagnosisError';
}

const maxObjects = 200;
/** Maximum number of objects whose pods are read for the reason of their health. */
const maxExplained = 20;
/** Maximum bytes of YAML in a report, which is one request of at most 1 MiB. */
const reportYamlBytes = 400 << 10;
/** Maximum characters of one object's YAML. */
const maxYamlLength = 64 << 10;
const deadlineMs = 30_000;
const maxNotes = 50;

/**
 * Describes what a stack has on the cluster, as far as this cluster access may read: the objects that its inventory lists, and what
 * belongs to them. Ends within `timeoutMs`, and notes what failed or was not reached. Rejects with DiagnosisError when the stack
 * has no such object, and with ClusterError when its inventory cannot be read.
 */
export async function diagnose(
  { cluster, inventories }: { cluster: Cluster; inventories: Pick<Inventories, 'load'> },
  request: DiagnosisRequest,
  signal: AbortSignal,
  timeoutMs = deadlineMs,
): Promise<Findings> {
  const during = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const notes = createNotes(during);
  const { items } = await inventories.load(request.stackId, during);
  const ids = [...items.values()].map(({ id }) => id).filter((id) => isRequested(request.object, id));
  if (ids.length === 0) {
    const missing = request.object ? `no ${displayName(request.object)}` : 'no objects';
    throw new DiagnosisError(`the stack has ${missing} on this agent`);
  }
  const known = new Set(items.keys());
  const live =
    (await notes.attempt('the objects', () => readLive(cluster, ids, { stackId: request.stackId, known }, during))) ??
    (await readEach(cluster, ids, notes, during));
  const findings = ids.map((id) => findingOf(id, live.get(keyOf(id)))).sort(worstFirst);
  if (findings.length > maxObjects) notes.add(`${findings.length - maxObjects} more objects were left out`);
  const included = await explained(cluster, findings.slice(0, maxObjects), notes, during);
  const existing = included.flatMap(({ object }) => live.get(keyOf(object)) ?? []);
  const owned = await findOwnedObjects(cluster, existing, notes, during);
  const objects = withYaml(included, live, notes).map((finding) => ({
    ...finding,
    rollout: owned.rollouts.get(keyOf(finding.object)) ?? [],
  }));
  const events = await eventsAbout(cluster, [...existing, ...owned.all], notes, during);
  const pods = await describePods(cluster, owned.pods, notes, during);
  if (during.aborted) {
    signal.throwIfAborted();
    notes.add(`the diagnosis ended after ${timeoutMs / 1000} s`);
  }
  return { objects, pods, events, notes: notes.texts.slice(0, maxNotes) };
}

/** Reads objects one by one, so that one kind that may not be read does not hide the others. */
async function readEach(cluster: Cluster, ids: readonly ObjectId[], notes: Notes, signal: AbortSignal) {
  const live = new Map<string, KubeObject>();
  for (const id of ids.slice(0, maxObjects)) {
    const object = await notes.attempt(displayName(id), () => cluster.get(id, signal));
    if (object) live.set(keyOf(id), object);
  }
  return live;
}

function isRequested(requested: ObjectId | undefined, id: ObjectId): boolean {
  if (!requested) return true;
  const isKind = requested.kind === id.kind && groupOf(requested.apiVersion) === groupOf(id.apiVersion);
  return isKind && requested.name === id.name && (requested.namespace === '' || requested.namespace === id.namespace);
}

function findingOf(object: ObjectId, live: KubeObject | undefined): ObjectFinding {
  const verdict = live ? healthOf(live) : ({ health: 'unknown', message: 'it was not found' } as const);
  return { object, ...verdict, yaml: '', rollout: [] };
}

/** Explains the worst findings by their pods and events, so that a diagnosis calls an object what its reported health calls it. */
async function explained(
  cluster: Cluster,
  findings: readonly ObjectFinding[],
  notes: Notes,
  signal: AbortSignal,
): Promise<ObjectFinding[]> {
  const ids = findings.filter(({ object, health }) => health !== 'healthy' && hasDetail(object));
  const worst = new Set(ids.slice(0, maxExplained));
  const verdicts = await mapConcurrent(findings, passConcurrency, async (finding) => {
    if (!worst.has(finding)) return finding;
    const explain = () => explainHealth(cluster, finding.object, signal);
    return { ...finding, ...(await notes.attempt(`the pods of ${displayName(finding.object)}`, explain)) };
  });
  return verdicts.sort(worstFirst);
}

function worstFirst(left: ObjectFinding, right: ObjectFinding): number {
  return healths.indexOf(right.health) - healths.indexOf(left.health);
}

/** Adds each object's YAML, redacted, as long as the report has room. */
function withYaml(
  findings: readonly ObjectFinding[],
  live: ReadonlyMap<string, KubeObject>,
  notes: Notes,
): ObjectFinding[] {
  let remainingBytes = reportYamlBytes;
  let omitted = 0;
  const described = findings.map((finding) => {
    const object = live.get(keyOf(finding.object));
    if (!object) return finding;
    const text = stringify(redactObject(object), { lineWidth: 0, aliasDuplicateObjects: false });
    const yaml = text.length > maxYamlLength ? `${text.slice(0, maxYamlLength - 20)}\n# cut here\n` : text;
    const bytes = Buffer.byteLength(yaml);
    if (bytes > remainingBytes) {
      omitted += 1;
      return finding;
    }
    remainingBytes -= bytes;
    return { ...finding, yaml };
  });
  if (omitted > 0) notes.add(`the YAML of ${omitted} objects was left out: it would not fit`);
  return described;
}
