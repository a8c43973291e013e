import { sleep } from '../concurrency/backoff.ts';
import { mapConcurrent } from '../concurrency/semaphore.ts';
import { healthOf } from '../health/evaluate.ts';
import { describeTerminatingObject } from '../health/terminating.ts';
import {
  hasStatus,
  isUnreachable,
  refusesChange,
  refusesDryRun,
  refusesVersion,
  unservedKind,
} from '../kube/api-error.ts';
import type { ApplyOptions, Cluster } from '../kube/cluster.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { type CustomKind, servedVersions } from '../manifest/parse.ts';
import { isSameObject } from '../object/compare.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import {
  andMore,
  displayName,
  groupKindOf,
  isCustomResourceDefinition,
  isNamespace,
  isOwnApply,
  type KubeObject,
  keyOf,
  type ObjectId,
} from '../object/kube-object.ts';
import { differences, pathText } from '../object/managed-fields.ts';
import type { Change } from '../target/stack-event.ts';
import type { CheckedObject } from './drift.ts';

export interface DryRunResult {
  readonly failures: readonly Change[];
  /** The objects of `failures` that were refused only because fields of them may not be changed. */
  readonly immutable: readonly DesiredObject[];
  /** Number of objects that no dry run could check, because of a webhook without support for it or an apply in another version. */
  readonly uncheckedCount: number;
}

export interface ApplyResult {
  readonly changes: readonly Change[];
  readonly failures: readonly Change[];
}

/** Runs before an object is applied: returns why it cannot be, or throws when the pass has to end. */
export type BeforeApply = (wanted: DesiredObject) => Promise<Change | undefined>;

/** Number of times that an object is read to compare it with a dry run, while somebody writes it all the time. */
const maxReads = 5;
/** Milliseconds that a pass waits for a definition to be served, or a namespace to be active. */
const readyMs = 10_000;
const readyCheckMs = 100;

/** Returns a test for objects that need a definition or namespace of the same pass, so that no dry run can check them before it. */
export function dependsOn(
  prerequisites: readonly DesiredObject[],
  definitions: readonly CustomKind[],
): (wanted: DesiredObject) => boolean {
  const written = new Set(prerequisites.map(({ id }) => keyOf(id)));
  const namespaces = new Set(prerequisites.filter(({ id }) => isNamespace(id)).map(({ id }) => id.name));
  const kinds = new Set(
    definitions.filter(({ id }) => written.has(keyOf(id))).map(({ group, kind }) => `${group}/${kind}`),
  );
  return ({ id }) => namespaces.has(id.namespace) || kinds.has(groupKindOf(id));
}

/** Returns whether other objects may need this one to exist, and to be ready, before they can be applied. */
export function isPrerequisite({ id }: DesiredObject): boolean {
  return isNamespace(id) || isCustomResourceDefinition(id);
}

/** Asks the API server whether it would accept each object. With `patient`, waits for kinds that were defined a moment ago. */
export async function dryRun(
  cluster: Cluster,
  objects: readonly DesiredObject[],
  signal: AbortSignal,
  { patient = false } = {},
): Promise<DryRunResult> {
  let uncheckedCount = 0;
  const immutable: DesiredObject[] = [];
  const failures = await mapConcurrent(objects, passConcurrency, async (wanted) => {
    const deadline = Date.now() + (patient ? readyMs / 2 : 0);
    for (;;) {
      try {
        await applyObject(cluster, wanted, { dryRun: true, takesObstacles: true }, signal);
        return undefined;
      } catch (error) {
        if (signal.aborted || isUnreachable(error)) throw error;
        if (refusesDryRun(error) || refusesVersion(error)) {
          uncheckedCount += 1;
          return undefined;
        }
        if (refusesChange(error)) immutable.push(wanted);
        if (!hasStatus(error, 404) || Date.now() > deadline) return failure(wanted.id, error);
      }
      cluster.discovery.forget(wanted.id.apiVersion);
      await sleep(readyCheckMs, signal);
    }
  });
  return { failures: failures.flatMap((change) => change ?? []), immutable, uncheckedCount };
}

/** Returns, of objects that read differently from what is desired, those that an apply would change. */
export async function findDrifted(
  cluster: Cluster,
  objects: readonly DesiredObject[],
  live: LiveObjects,
  signal: AbortSignal,
): Promise<CheckedObject[]> {
  const drifted = await mapConcurrent(objects, passConcurrency, async (wanted) => {
    const found = live.get(keyOf(wanted.id));
    try {
      return (await driftOf(cluster, wanted, found, signal)) ?? [];
    } catch (error) {
      if (signal.aborted || isUnreachable(error)) throw error;
      // The dry run was refused or is not supported: the pass applies the object, and reports what comes of it.
      return [{ wanted, live: found, applied: undefined }];
    }
  });
  return drifted.flat();
}

/** Returns what an apply would change of an object; undefined when it would change nothing. */
async function driftOf(
  cluster: Cluster,
  wanted: DesiredObject,
  found: KubeObject | undefined,
  signal: AbortSignal,
): Promise<CheckedObject | undefined> {
  for (let live = found, reads = 1; ; reads++) {
    const { object: applied } = await applyObject(cluster, wanted, { dryRun: true, takesObstacles: false }, signal);
    if (!live || isSameObject(live, applied)) return undefined;
    // A dry run answers with the version that it started from. Was the object written since it was read, the two cannot be compared:
    // they also differ in what a controller has written in between.
    if (live.metadata.resourceVersion === applied.metadata.resourceVersion) return { wanted, live, applied };
    if (reads === maxReads) return hasDesiredDifference(wanted, live, applied) ? { wanted, live, applied } : undefined;
    live = await cluster.get(wanted.id, signal);
  }
}

/** Returns whether a field that is desired differs: others may differ because somebody wrote them after `live` was read. */
function hasDesiredDifference({ object }: DesiredObject, live: KubeObject, applied: KubeObject): boolean {
  const desired = new Set(differences(live, object, { part: true }).map(pathText));
  return differences(live, applied).some((path) => desired.has(pathText(path)));
}

/**
 * Applies one group after another, the objects of a group concurrently; stops after a group in which one failed. `onApplied` gets
 * each object as the API server returned it, also when `before`, which runs before each object, throws later; an object for which it
 * returns a failure is not applied.
 */
export async function applyObjects(
  cluster: Cluster,
  groups: readonly (readonly DesiredObject[])[],
  signal: AbortSignal,
  before: BeforeApply,
  onApplied: (wanted: DesiredObject, object: KubeObject) => void,
): Promise<ApplyResult> {
  const changes: Change[] = [];
  const failures: Change[] = [];
  for (const group of groups) {
    await mapConcurrent(group, passConcurrency, async (wanted) => {
      const obstacle = await before(wanted);
      if (obstacle) return failures.push(obstacle);
      try {
        const { object, created, warnings } = await applyInVersion(cluster, wanted, signal);
        onApplied(wanted, object);
        changes.push({
          object: wanted.id,
          action: created ? 'created' : 'configured',
          message: '',
          ...(warnings.length > 0 && { warnings }),
        });
      } catch (error) {
        if (signal.aborted || isUnreachable(error)) throw error;
        failures.push(failure(wanted.id, error));
      }
    });
    if (failures.length > 0) break;
  }
  return { changes, failures };
}

/** Tells which definitions are served and which namespaces are active. */
export interface Readiness {
  /** Those that will not become ready by themselves. */
  readonly failures: readonly Change[];
  /** Set while others are on their way: says which, and what they lack. */
  readonly waiting?: string;
}

/** Waits until definitions are served and namespaces are active, but no longer than `patienceMs`. */
export async function waitUntilReady(
  cluster: Cluster,
  prerequisites: readonly DesiredObject[],
  signal: AbortSignal,
  { patienceMs = readyMs } = {},
): Promise<Readiness> {
  const deadline = Date.now() + patienceMs;
  const reasons = await mapConcurrent(prerequisites, passConcurrency, async (wanted) => {
    for (;;) {
      const reason = await unreadyReason(cluster, wanted, signal);
      if (reason === undefined || reason.isFinal || Date.now() > deadline) return reason;
      await sleep(readyCheckMs, signal);
    }
  });
  const unready = reasons.flatMap((reason) => reason ?? []);
  const failures = unready.flatMap(({ id, message, isFinal }): Change[] =>
    isFinal ? [{ object: id, action: 'failed', message }] : [],
  );
  const pending = unready.filter(({ isFinal }) => !isFinal);
  const [first] = pending;
  return first
    ? { failures, waiting: `waits for ${displayName(first.id)}: ${first.message}${andMore(pending)}` }
    : { failures };
}

interface UnreadyReason {
  readonly id: ObjectId;
  readonly message: string;
  /** True for what does not pass by itself. */
  readonly isFinal: boolean;
}

/** Returns why a namespace or definition is not ready; undefined when it is. */
async function unreadyReason(
  cluster: Cluster,
  { id, object }: DesiredObject,
  signal: AbortSignal,
): Promise<UnreadyReason | undefined> {
  const live = await cluster.get(id, signal);
  const passing = (message: string) => ({ id, message, isFinal: false });
  if (!live) return { id, message: `${displayName(id)} is gone`, isFinal: true };
  if (live.metadata.deletionTimestamp !== undefined) return passing(describeTerminatingObject(live));
  const verdict = healthOf(live);
  if (verdict.health !== 'healthy') return { id, message: verdict.message, isFinal: verdict.health === 'failed' };
  if (isNamespace(id)) return undefined;
  for (const { apiVersion, kind } of servedVersions(object)) {
    cluster.discovery.forget(apiVersion);
    if (!(await cluster.discovery.find(apiVersion, kind, signal)))
      return passing(`${kind} of ${apiVersion} is not served yet`);
  }
  return undefined;
}

/** Applies an object, also when it was applied before in another version that lacks one of its fields. */
async function applyInVersion(cluster: Cluster, wanted: DesiredObject, signal: AbortSignal) {
  try {
    return await applyObject(cluster, wanted, { dryRun: false, takesObstacles: true }, signal);
  } catch (error) {
    if (!refusesVersion(error)) throw error;
    await rewriteAppliedVersion(cluster, wanted.id, signal);
    return applyObject(cluster, wanted, { dryRun: false, takesObstacles: true }, signal);
  }
}

/** Rewrites the version in which the agent's fields were applied to that of `id`; the fields stay the same. */
async function rewriteAppliedVersion(cluster: Cluster, id: ObjectId, signal: AbortSignal): Promise<void> {
  const live = await cluster.get(id, signal);
  if (!live) return;
  const managedFields = live.metadata.managedFields?.map((fields) =>
    isOwnApply(fields) ? { ...fields, apiVersion: id.apiVersion } : fields,
  );
  const { resourceVersion } = live.metadata;
  await cluster.patch(id, { metadata: { resourceVersion, managedFields } }, signal);
}

async function applyObject(
  cluster: Cluster,
  { id, object }: DesiredObject,
  options: Pick<ApplyOptions, 'dryRun' | 'takesObstacles'>,
  signal: AbortSignal,
) {
  const resource = await cluster.discovery.find(id.apiVersion, id.kind, signal);
  if (!resource) throw unservedKind(id, id);
  return cluster.apply(object, resource, { ...options, force: true }, signal);
}

function failure(object: ObjectId, error: unknown): Change {
  return { object, action: 'failed', message: error instanceof Error ? error.message : String(error) };
}
