import { mapConcurrent } from '../concurrency/semaphore.ts';
import type { Cluster } from '../kube/cluster.ts';
import { at, idOf, type KindId, type KubeObject, keyOf, kindName, nameOf, textAt } from '../object/kube-object.ts';
import { selectorOf } from '../object/label-selector.ts';
import type { Notes } from './notes.ts';

/** The objects that controllers made for a stack's objects, found by owner references. */
export interface OwnedObjects {
  readonly pods: readonly KubeObject[];
  /** The pods, and the objects between them and the stack's objects. */
  readonly all: readonly KubeObject[];
  /** Revisions of each workload, newest first, by its key. */
  readonly rollouts: ReadonlyMap<string, readonly string[]>;
}

/** The objects that one object owns. */
interface Owned {
  readonly pods: readonly KubeObject[];
  readonly between: readonly KubeObject[];
  readonly revisions?: readonly string[];
}

type ListOwned = (owner: KubeObject, kind: KindId) => Promise<KubeObject[]>;

/** Maximum number of concurrent requests of a diagnosis. */
export const diagnosisConcurrency = 4;
const maxRevisions = 20;

const replicaSets = { apiVersion: 'apps/v1', kind: 'ReplicaSet' } as const;
const controllerRevisions = { apiVersion: 'apps/v1', kind: 'ControllerRevision' } as const;
const jobs = { apiVersion: 'batch/v1', kind: 'Job' } as const;
const pods = { apiVersion: 'v1', kind: 'Pod' } as const;

/** Finds what the objects own. A list that fails is noted, and counts as empty. */
export async function findOwnedObjects(
  cluster: Cluster,
  objects: readonly KubeObject[],
  notes: Notes,
  signal: AbortSignal,
): Promise<OwnedObjects> {
  const listOwned: ListOwned = async (owner, kind) => {
    const labelSelector = selectorOf(owner);
    const namespace = owner.metadata.namespace ?? '';
    const selection = { namespace, ...(labelSelector !== undefined && { labelSelector }) };
    const owned: KubeObject[] = [];
    await notes.attempt(`${kind.kind}s of ${nameOf(idOf(owner))}`, async () => {
      for await (const page of cluster.listPages(kind, selection, signal))
        owned.push(...page.filter((object) => isOwnedBy(object, owner)));
    });
    return owned;
  };
  const rollouts = new Map<string, readonly string[]>();
  const owned = await mapConcurrent(objects, diagnosisConcurrency, async (object) => {
    const found = await ownedBy(object, listOwned);
    if (found.revisions) rollouts.set(keyOf(idOf(object)), found.revisions);
    return found;
  });
  const allPods = owned.flatMap((found) => found.pods);
  const distinctPods = [...new Map(allPods.map((pod) => [pod.metadata.uid, pod])).values()];
  return { pods: distinctPods, all: [...owned.flatMap(({ between }) => between), ...distinctPods], rollouts };
}

async function ownedBy(object: KubeObject, listOwned: ListOwned): Promise<Owned> {
  switch (kindName(object)) {
    case 'Pod':
      return { pods: [object], between: [] };
    case 'apps/Deployment': {
      const sets = await listOwned(object, replicaSets);
      const revisions = newestRevisions(sets.map((set) => [revisionOf(set), describeReplicaSet(set)]));
      // Replica sets of earlier revisions that were scaled down have no pods to list.
      const scaledSets = sets.filter((set) => at(set, 'status', 'replicas') !== 0);
      return { pods: await listEach(scaledSets, pods, listOwned), between: sets, revisions };
    }
    case 'apps/StatefulSet':
    case 'apps/DaemonSet': {
      const stored = await listOwned(object, controllerRevisions);
      const revisions = newestRevisions(
        stored.map((revision) => [Number(at(revision, 'revision') ?? 0), describeRevision(object, revision)]),
      );
      return { pods: await listOwned(object, pods), between: [], revisions };
    }
    case 'batch/CronJob': {
      const created = await listOwned(object, jobs);
      return { pods: await listEach(created, pods, listOwned), between: created };
    }
    case 'apps/ReplicaSet':
    case 'batch/Job':
    case 'ReplicationController':
      return { pods: await listOwned(object, pods), between: [] };
    default:
      return { pods: [], between: [] };
  }
}

async function listEach(owners: readonly KubeObject[], kind: KindId, listOwned: ListOwned): Promise<KubeObject[]> {
  const owned: KubeObject[] = [];
  for (const owner of owners) owned.push(...(await listOwned(owner, kind)));
  return owned;
}

function isOwnedBy({ metadata }: KubeObject, owner: KubeObject): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) ?? false;
}

function newestRevisions(revisions: readonly [number, string][]): string[] {
  return revisions
    .toSorted(([left], [right]) => right - left)
    .slice(0, maxRevisions)
    .map(([revision, text]) => `${revision}: ${text}`);
}

function revisionOf({ metadata }: KubeObject): number {
  return Number(metadata.annotations?.['deployment.kubernetes.io/revision'] ?? 0);
}

function describeReplicaSet(set: KubeObject): string {
  const replicas = Number(at(set, 'spec', 'replicas') ?? 0);
  return `${set.metadata.name} (${Number(at(set, 'status', 'readyReplicas') ?? 0)} of ${replicas} ready)`;
}

/** Names a controller revision, and says whether it is the one that the owner runs or updates to. */
function describeRevision(owner: KubeObject, { metadata: { name } }: KubeObject): string {
  const marks = [
    textAt(owner, 'status', 'currentRevision') === name ? 'current' : undefined,
    textAt(owner, 'status', 'updateRevision') === name ? 'wanted' : undefined,
  ].filter((mark) => mark !== undefined);
  return `${name}${marks.length > 0 ? ` (${marks.join(', ')})` : ''}`;
}
