import { sleep } from '../concurrency/backoff.ts';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import { hasStatus, isUnreachable, refusesDryRun, refusesVersion, unserved } from '../kube/api-error.ts';
import type { Cluster } from '../kube/client.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { type Definition, servedVersions } from '../manifest/parse.ts';
import { isSameObject } from '../object/compare.ts';
import {
  groupKindOf,
  isCustomResourceDefinition,
  isNamespace,
  isOwnApply,
  type KubeObject,
  keyOf,
  listAt,
  nameOf,
  type ObjectId,
  textAt,
} from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Checked } from './drift.ts';
import type { Desired } from './plan.ts';

/** Done with what was asked for, or not: then with what failed. */
export interface Tried {
  readonly failed: readonly Change[];
  /** Objects that no dry run could check: a webhook supports none, or the object was applied in another version. */
  readonly unchecked: number;
}

export interface Applied extends Tried {
  readonly changes: readonly Change[];
}

/** How long a pass waits for a definition to be served, or a namespace to be active. */
const readyMs = 10_000;
const readyEveryMs = 100;

/** Whether an object needs a definition or namespace that is written in the same pass, so that it cannot be tried before. */
export function dependsOn(
  prerequisites: readonly Desired[],
  definitions: readonly Definition[],
): (wanted: Desired) => boolean {
  const written = new Set(prerequisites.map(({ id }) => keyOf(id)));
  const namespaces = new Set(prerequisites.filter(({ id }) => isNamespace(id)).map(({ id }) => id.name));
  const kinds = new Set(
    definitions.filter(({ id }) => written.has(keyOf(id))).map(({ group, kind }) => `${group}/${kind}`),
  );
  return ({ id }) => namespaces.has(id.namespace) || kinds.has(groupKindOf(id));
}

export function isPrerequisite({ id }: Desired): boolean {
  return isNamespace(id) || isCustomResourceDefinition(id);
}

/** Asks the API server what an apply of each would do. A kind that has just been defined may take a moment: `patient` waits for it. */
export async function dryRun(
  cluster: Cluster,
  objects: readonly Desired[],
  signal: AbortSignal,
  { patient = false } = {},
): Promise<Tried> {
  let unchecked = 0;
  const failed = await mapConcurrent(objects, passConcurrency, async (wanted) => {
    const end = Date.now() + (patient ? readyMs / 2 : 0);
    for (;;) {
      try {
        await applyOne(cluster, wanted, true, signal);
        return undefined;
      } catch (error) {
        if (signal.aborted || isUnreachable(error)) throw error;
        if (refusesDryRun(error) || refusesVersion(error)) {
          unchecked += 1;
          return undefined;
        }
        if (!hasStatus(error, 404) || Date.now() > end) return failure(wanted.id, error);
      }
      cluster.discovery.forget(wanted.id.apiVersion);
      await sleep(readyEveryMs, signal);
    }
  });
  return { failed: failed.flatMap((change) => change ?? []), unchecked };
}

/** Of objects whose live form reads differently, those that an apply would change, and into what. */
export async function findDrifted(
  cluster: Cluster,
  objects: readonly Desired[],
  live: ReadonlyMap<string, KubeObject>,
  signal: AbortSignal,
): Promise<Checked[]> {
  const drifted = await mapConcurrent(objects, passConcurrency, async (wanted) => {
    try {
      const { object } = await applyOne(cluster, wanted, true, signal);
      return isSameObject(live.get(keyOf(wanted.id)) ?? object, object) ? [] : [{ wanted, applied: object }];
    } catch (error) {
      if (signal.aborted || isUnreachable(error)) throw error;
      // Refused or not to be asked: let the pass try, and tell.
      return [{ wanted, applied: undefined }];
    }
  });
  return drifted.flat();
}

/**
 * Applies one group after another, those of one in parallel; stops after a group in which something failed. `seen` gets each object
 * as the API server answered it, also of those before `checkpoint` throws, which it may for each.
 */
export async function applyObjects(
  cluster: Cluster,
  groups: readonly (readonly Desired[])[],
  signal: AbortSignal,
  checkpoint: () => void,
  seen: (wanted: Desired, object: KubeObject) => void,
): Promise<Applied> {
  const changes: Change[] = [];
  const failed: Change[] = [];
  for (const group of groups) {
    await mapConcurrent(group, passConcurrency, async (wanted) => {
      checkpoint();
      try {
        const { object, created } = await applyInVersion(cluster, wanted, signal);
        seen(wanted, object);
        changes.push({ object: wanted.id, action: created ? 'created' : 'configured', message: '' });
      } catch (error) {
        if (signal.aborted || isUnreachable(error)) throw error;
        failed.push(failure(wanted.id, error));
      }
    });
    if (failed.length > 0) break;
  }
  return { changes, failed, unchecked: 0 };
}

/** Waits until definitions are served and namespaces are active; answers what is not, in time. */
export async function waitUntilReady(
  cluster: Cluster,
  prerequisites: readonly Desired[],
  signal: AbortSignal,
): Promise<Change[]> {
  const end = Date.now() + readyMs;
  const late = await mapConcurrent(prerequisites, passConcurrency, async ({ id, object }) => {
    for (;;) {
      const problem = await whyNotReady(cluster, id, object, signal);
      if (problem === undefined) return undefined;
      if (Date.now() > end) return { object: id, action: 'failed' as const, message: problem };
      await sleep(readyEveryMs, signal);
    }
  });
  return late.flatMap((change) => change ?? []);
}

async function whyNotReady(
  cluster: Cluster,
  id: ObjectId,
  object: KubeObject,
  signal: AbortSignal,
): Promise<string | undefined> {
  const live = await cluster.get(id, signal);
  if (!live) return `${nameOf(id)} is gone`;
  if (isNamespace(id)) {
    const phase = textAt(live, 'status', 'phase');
    return phase === undefined || phase === 'Active' ? undefined : `it is ${phase}`;
  }
  const conditions = listAt(live, 'status', 'conditions');
  const established = conditions.find((condition) => textAt(condition, 'type') === 'Established');
  if (textAt(established, 'status') !== 'True') {
    const refused = conditions.find(
      (condition) => textAt(condition, 'type') === 'NamesAccepted' && textAt(condition, 'status') === 'False',
    );
    return `it is not established${refused ? `: ${textAt(refused, 'message')}` : ''}`;
  }
  for (const { apiVersion, kind } of servedVersions(object)) {
    cluster.discovery.forget(apiVersion);
    if (!(await cluster.discovery.find(apiVersion, kind, signal))) return `${kind} of ${apiVersion} is not served yet`;
  }
  return undefined;
}

async function applyInVersion(cluster: Cluster, wanted: Desired, signal: AbortSignal) {
  try {
    return await applyOne(cluster, wanted, false, signal);
  } catch (error) {
    if (!refusesVersion(error)) throw error;
    await restateVersion(cluster, wanted.id, signal);
    return applyOne(cluster, wanted, false, signal);
  }
}

/** Says of what was applied in another version that it was applied in this one: the paths of fields stay as they are. */
async function restateVersion(cluster: Cluster, id: ObjectId, signal: AbortSignal): Promise<void> {
  const live = await cluster.get(id, signal);
  if (!live) return;
  const managedFields = live.metadata.managedFields?.map((entry) =>
    isOwnApply(entry) ? { ...entry, apiVersion: id.apiVersion } : entry,
  );
  await cluster.replace({ ...live, metadata: { ...live.metadata, managedFields } } as KubeObject, signal);
}

async function applyOne(cluster: Cluster, { id, object }: Desired, dry: boolean, signal: AbortSignal) {
  const resource = await cluster.discovery.find(id.apiVersion, id.kind, signal);
  if (!resource) throw unserved(id, id);
  return cluster.apply(object, resource, { dryRun: dry, force: true }, signal);
}

function failure(object: ObjectId, error: unknown): Change {
  return { object, action: 'failed', message: error instanceof Error ? error.message : String(error) };
}
