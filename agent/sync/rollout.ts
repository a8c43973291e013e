import { healthOf } from '../health/evaluate.ts';
import { findHolding } from '../health/holding.ts';
import { type Verdict, worstOf } from '../health/status.ts';
import type { InventoryItem } from '../inventory/shards.ts';
import type { Cluster } from '../kube/cluster.ts';
import { uncallableOwnWebhook } from '../manifest/own-webhooks.ts';
import type { CustomKind } from '../manifest/parse.ts';
import type { Wave } from '../manifest/waves.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { andMore, displayName, type KubeObject, keyOf } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import {
  applyObjects,
  type BeforeApply,
  dependsOn,
  dryRun,
  isPrerequisite,
  type Readiness,
  waitUntilReady,
} from './apply.ts';
import type { Pass, SyncContext } from './context.ts';
import { itemFor } from './plan.ts';

export interface Rollout {
  readonly waves: readonly Wave<DesiredObject>[];
  /** The objects of the waves that are written in this pass. */
  readonly writes: readonly DesiredObject[];
  /** Custom kinds that the manifest defines itself. */
  readonly definitions: readonly CustomKind[];
  readonly live: LiveObjects;
  /** Health of the objects that are gone since they have run to their end, by key. */
  readonly ended: ReadonlyMap<string, Verdict>;
  /** True when each wave waits until those before it are healthy; a pass that only repairs drift does not wait. */
  readonly isGated: boolean;
  /** Objects of `writes` that need a webhook of this stack which cannot be called for now: they come last in their wave. */
  readonly deferred: ReadonlySet<DesiredObject>;
  /** Runs before each object is written; returns why it cannot be. */
  readonly beforeWrite?: BeforeApply;
}

/** The reason that a rollout stops before its next wave: some objects have failed, or the rollout waits for their health. */
export interface RolloutBlocker {
  readonly failures: readonly Change[];
  /** With failures: a clause that says what was done all the same. */
  readonly summary: string;
  /** Set while the rollout waits: for a wave that is not healthy yet, or for a definition that is not served yet. */
  readonly waiting?: string;
}

/** Progress of a rollout; without failures and `waiting` everything is written. */
export interface RolloutResult extends RolloutBlocker {
  readonly changes: readonly Change[];
  /** Number of objects that no dry run could check. */
  readonly uncheckedCount: number;
}

/**
 * Writes wave by wave: each only when all objects of the earlier waves are healthy, and none after a wave in which an object
 * failed. `items` gets the inventory item of each written object, by key. Rejects with Superseded when the pass has become pointless halfway.
 */
export async function rollOut(
  context: SyncContext,
  pass: Pass,
  rollout: Rollout,
  items: Map<string, InventoryItem>,
): Promise<RolloutResult> {
  const { waves, writes } = rollout;
  const written = new Set(writes);
  const last = waves.findLastIndex((wave) => hasAny(wave, written));
  const changes: Change[] = [];
  const seen = new Map(rollout.live);
  let uncheckedCount = 0;
  for (const [index, wave] of waves.entries()) {
    if (index > last) break;
    const onApplied = ({ id }: DesiredObject, object: KubeObject) => {
      seen.set(keyOf(id), object);
      items.set(keyOf(id), itemFor(id, object));
    };
    const result = await writeWave(context, pass, rollout, wave, written, onApplied);
    changes.push(...result.changes);
    uncheckedCount += result.uncheckedCount;
    if (result.failures.length > 0) {
      const rest = index < last ? `; waves after ${wave.number} were not begun` : '';
      return { ...result, summary: result.summary + rest, changes, uncheckedCount };
    }
    if (result.waiting !== undefined) return { ...result, changes, uncheckedCount };
    if (index === last || !rollout.isGated) continue;
    const blocker = await waveBlocker(context.cluster, { ...rollout, live: seen }, index, pass.signal);
    if (blocker) return { ...blocker, changes, uncheckedCount };
  }
  return { failures: [], summary: '', changes, uncheckedCount };
}

/** Returns what keeps the first wave that has writes waiting, before anything is written; undefined when it may begin. */
export async function rolloutBlocker(
  cluster: Cluster,
  rollout: Rollout,
  signal: AbortSignal,
): Promise<RolloutBlocker | undefined> {
  const { waves, writes, isGated } = rollout;
  if (!isGated) return undefined;
  const written = new Set(writes);
  for (const [index, wave] of waves.entries()) {
    if (hasAny(wave, written)) return undefined;
    if (!waves.slice(index + 1).some((later) => hasAny(later, written))) return undefined;
    const blocker = await waveBlocker(cluster, rollout, index, signal);
    if (blocker) return blocker;
  }
  return undefined;
}

function hasAny({ groups }: Wave<DesiredObject>, written: ReadonlySet<DesiredObject>): boolean {
  return groups.some((group) => group.some((wanted) => written.has(wanted)));
}

/** Writes one wave: first the definitions and namespaces that others of the wave need, then the rest. */
async function writeWave(
  { cluster }: SyncContext,
  { signal, checkpoint }: Pass,
  { waves, writes, definitions, deferred, beforeWrite }: Rollout,
  { groups }: Wave<DesiredObject>,
  written: ReadonlySet<DesiredObject>,
  onApplied: (wanted: DesiredObject, object: KubeObject) => void,
): Promise<RolloutResult> {
  const pending = groups.map((group) => group.filter((wanted) => written.has(wanted)));
  const needsPrerequisite = dependsOn(writes.filter(isPrerequisite), definitions);
  const dependents = pending.flat().filter(needsPrerequisite);
  // The prerequisites of a dependent in the same wave have to be ready before a dry run can check the dependent.
  const isFirst = (wanted: DesiredObject) =>
    dependents.length > 0 && isPrerequisite(wanted) && !needsPrerequisite(wanted);
  const first = pending.map((group) => group.filter(isFirst));
  const before: BeforeApply = async (wanted) => {
    checkpoint();
    return beforeWrite?.(wanted);
  };
  const prepared = await applyObjects(cluster, first, signal, before, onApplied);
  const ready: Readiness =
    prepared.failures.length > 0 ? prepared : await waitUntilReady(cluster, first.flat(), signal);
  if (ready.failures.length === 0 && ready.waiting !== undefined)
    return { failures: [], summary: '', waiting: ready.waiting, changes: prepared.changes, uncheckedCount: 0 };
  const checked =
    ready.failures.length > 0
      ? { failures: ready.failures, uncheckedCount: 0 }
      : await dryRun(cluster, dependents, signal, { patient: true });
  const { uncallable, others } = splitByWebhook(waves, checked.failures);
  const late = new Set([...deferred, ...dependents.filter(({ id }) => uncallable.some(({ object }) => object === id))]);
  const isRest = (wanted: DesiredObject) => !isFirst(wanted) && !late.has(wanted);
  const rest = [...pending.map((group) => group.filter(isRest)), pending.flat().filter((wanted) => late.has(wanted))];
  const applied = others.length > 0 ? undefined : await applyObjects(cluster, rest, signal, before, onApplied);
  const refused = splitByWebhook(waves, applied?.failures ?? []);
  const failures = [...others, ...refused.others];
  const changes = [...prepared.changes, ...(applied?.changes ?? [])];
  const { uncheckedCount } = checked;
  const [awaited] = refused.uncallable;
  if (failures.length === 0 && awaited) {
    const waiting = `waits for the webhook of ${displayName(awaited.object)}: ${awaited.message}${andMore(refused.uncallable)}`;
    return { failures, summary: '', waiting, changes, uncheckedCount };
  }
  const summary = applied ? 'some objects were not applied' : 'only definitions and namespaces were applied';
  return { failures, summary, changes, uncheckedCount };
}

/** Separates the failures for which a webhook of the stack itself could not be called from the others. */
export function splitByWebhook(
  waves: readonly Wave<DesiredObject>[],
  failures: readonly Change[],
): { uncallable: readonly Change[]; others: readonly Change[] } {
  if (failures.length === 0) return { uncallable: [], others: [] };
  const isUncallable = uncallableOwnWebhook(objectsOf(waves));
  return {
    uncallable: failures.filter(({ message }) => isUncallable(message)),
    others: failures.filter(({ message }) => !isUncallable(message)),
  };
}

function objectsOf(waves: readonly Wave<DesiredObject>[]): KubeObject[] {
  return waves.flatMap(({ groups }) => groups.flat()).map(({ object }) => object);
}

/** Returns why the next wave has to wait for this one; undefined when it need not. */
async function waveBlocker(
  cluster: Cluster,
  rollout: Pick<Rollout, 'waves' | 'live' | 'ended'>,
  index: number,
  signal: AbortSignal,
): Promise<RolloutBlocker | undefined> {
  const { waves, live } = rollout;
  const unhealthy = (waves[index]?.groups ?? []).flat().flatMap(({ id }) => {
    const verdict = verdictOf(rollout, keyOf(id));
    return verdict.health === 'healthy' ? [] : [{ id, object: live.get(keyOf(id)), ...verdict }];
  });
  const soFar = { begun: objectsOf(waves.slice(0, index + 1)), later: objectsOf(waves.slice(index + 1)) };
  const holding = await findHolding(cluster, unhealthy, soFar, signal);
  const worst = holding.find(({ health }) => health === worstOf(holding));
  if (!worst) return undefined;
  const clause = `wave ${waves[index + 1]?.number ?? ''} waits for wave ${waves[index]?.number ?? ''}`;
  const failed = holding.filter(({ health }) => health === 'failed');
  if (failed.length > 0) {
    const failures = failed.map(({ id, message }): Change => ({ object: id, action: 'failed', message }));
    return { failures, summary: `${clause}, of which some objects have failed` };
  }
  const example = `${displayName(worst.id)} is ${worst.health}: ${worst.message}`;
  return { failures: [], summary: '', waiting: `${clause}: ${example}${andMore(holding)}` };
}

function verdictOf({ live, ended }: Pick<Rollout, 'live' | 'ended'>, key: string): Verdict {
  const object = live.get(key);
  if (object) return healthOf(object);
  return ended.get(key) ?? { health: 'progressing', message: 'it is not there yet' };
}
