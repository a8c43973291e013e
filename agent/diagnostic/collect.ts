import { stringify } from 'yaml';
import { healthOf } from '../health/evaluate.ts';
import { type Health, healths } from '../health/status.ts';
import type { Inventories } from '../inventory/inventory.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { readLive } from '../kube/read-objects.ts';
import type { KubeEvent } from '../object/event.ts';
import { groupOf, type KubeObject, keyOf, nameOf, type ObjectId } from '../object/kube-object.ts';
import { redactObject } from '../object/redact.ts';
import { eventsAbout } from './events.ts';
import { findParts, type PodFinding, reportPods } from './pods.ts';

/** What the broker asks about a stack, or one object of it. */
export interface Question {
  readonly id: string;
  readonly stackId: string;
  /** Its namespace may be empty where the agent fills one in. */
  readonly object: ObjectId | undefined;
}

export interface ObjectFinding {
  readonly object: ObjectId;
  readonly health: Health;
  readonly message: string;
  /** Empty when it is not there, or was left out. */
  readonly yaml: string;
  readonly rollout: readonly string[];
}

export interface Findings {
  readonly objects: readonly ObjectFinding[];
  readonly pods: readonly PodFinding[];
  readonly events: readonly KubeEvent[];
  /** What could not be looked at, or was left out. */
  readonly notes: readonly string[];
}

export class DiagnosisError extends Error {
  override readonly name = 'DiagnosisError';
}

const maxObjects = 200;
/** A report is one request, which is limited to 1 MiB. */
const yamlBytes = 400 << 10;
const maxYaml = 64 << 10;
const deadlineMs = 30_000;
const maxNotes = 50;

/** Notes failures as they come; what was found until then stands. */
export interface Notes {
  add(text: string): void;
  /** Undefined for what failed, with a note. */
  attempt<Result>(what: string, work: () => Promise<Result>): Promise<Result | undefined>;
}

/**
 * Looks at what a stack has on the cluster, with these rights: only at what its inventory lists and what belongs to that. Ends within
 * 30 s; what failed or was not reached is noted. Throws a DiagnosisError when there is nothing to look at.
 */
export async function diagnose(
  { cluster, inventories }: { cluster: Cluster; inventories: Pick<Inventories, 'load'> },
  question: Question,
  signal: AbortSignal,
  withinMs = deadlineMs,
): Promise<Findings> {
  const during = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
  const notes: string[] = [];
  const taking = createNotes(notes, during);
  const { items } = await inventories.load(question.stackId, during);
  const ids = [...items.values()].map(({ id }) => id).filter((id) => isAsked(question.object, id));
  if (ids.length === 0) {
    const what = question.object ? `no ${nameOf(question.object)}` : 'no objects';
    throw new DiagnosisError(`the stack has ${what} on this agent`);
  }
  const known = new Set(items.keys());
  const live =
    (await taking.attempt('the objects', () => readLive(cluster, ids, { stackId: question.stackId, known }, during))) ??
    (await readEach(cluster, ids, taking, during));
  const found = ids.map((id) => findingOf(id, live.get(keyOf(id)))).sort(worstFirst);
  if (found.length > maxObjects) taking.add(`${found.length - maxObjects} more objects were left out`);
  const shown = found.slice(0, maxObjects);
  const present = shown.flatMap(({ object }) => live.get(keyOf(object)) ?? []);
  const parts = await findParts(cluster, present, taking, during);
  const objects = withYaml(shown, live, taking).map((finding) => ({
    ...finding,
    rollout: parts.rollouts.get(keyOf(finding.object)) ?? [],
  }));
  const events = await eventsAbout(cluster, [...present, ...parts.all], taking, during);
  const pods = await reportPods(cluster, parts.pods, taking, during);
  if (during.aborted) {
    signal.throwIfAborted();
    taking.add(`the ${withinMs / 1000} s for looking were over`);
  }
  return { objects, pods, events, notes: notes.slice(0, maxNotes) };
}

function createNotes(notes: string[], signal: AbortSignal): Notes {
  const add = (text: string) => {
    if (!notes.includes(text)) notes.push(text);
  };
  return {
    add,
    async attempt(what, work) {
      try {
        signal.throwIfAborted();
        return await work();
      } catch (error) {
        add(signal.aborted ? `${what}: not looked at in time` : `${what}: ${errorMessage(error)}`);
        return undefined;
      }
    },
  };
}

/** One by one, so that one kind that may not be read does not hide the others. */
async function readEach(cluster: Cluster, ids: readonly ObjectId[], notes: Notes, signal: AbortSignal) {
  const live = new Map<string, KubeObject>();
  for (const id of ids.slice(0, maxObjects)) {
    const object = await notes.attempt(nameOf(id), () => cluster.get(id, signal));
    if (object) live.set(keyOf(id), object);
  }
  return live;
}

function isAsked(asked: ObjectId | undefined, id: ObjectId): boolean {
  if (!asked) return true;
  const isKind = asked.kind === id.kind && groupOf(asked.apiVersion) === groupOf(id.apiVersion);
  return isKind && asked.name === id.name && (asked.namespace === '' || asked.namespace === id.namespace);
}

function findingOf(object: ObjectId, live: KubeObject | undefined): ObjectFinding {
  const verdict = live ? healthOf(live) : ({ health: 'unknown', message: 'it was not found' } as const);
  return { object, ...verdict, yaml: '', rollout: [] };
}

function worstFirst(left: ObjectFinding, right: ObjectFinding): number {
  return healths.indexOf(right.health) - healths.indexOf(left.health);
}

function withYaml(
  findings: readonly ObjectFinding[],
  live: ReadonlyMap<string, KubeObject>,
  notes: Notes,
): ObjectFinding[] {
  let left = yamlBytes;
  let omitted = 0;
  const shown = findings.map((finding) => {
    const object = live.get(keyOf(finding.object));
    if (!object) return finding;
    const text = stringify(redactObject(object), { lineWidth: 0, aliasDuplicateObjects: false });
    const yaml = text.length > maxYaml ? `${text.slice(0, maxYaml - 20)}\n# cut here\n` : text;
    const bytes = Buffer.byteLength(yaml);
    if (bytes > left) {
      omitted += 1;
      return finding;
    }
    left -= bytes;
    return { ...finding, yaml };
  });
  if (omitted > 0) notes.add(`the YAML of ${omitted} objects was left out: it would not fit`);
  return shown;
}
