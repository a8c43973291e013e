import { hasExpiry } from '../../health/run.ts';
import type { Inventory, InventoryItem } from '../../inventory/inventory.ts';
import type { Cluster } from '../../kube/cluster.ts';
import { type CustomKind, definitionsIn, servedVersions } from '../../manifest/parse.ts';
import { wavesOf } from '../../manifest/waves.ts';
import type { DesiredObject } from '../../object/desired-object.ts';
import { displayName, groupOf, keyOf } from '../../object/kube-object.ts';
import type { Change, StackEvent } from '../../target/stack-event.ts';
import { dependsOn, dryRun, findDrifted, isPrerequisite, type Readiness, waitUntilReady } from '../apply.ts';
import { Superseded } from '../context.ts';
import { classifyDrift, type DriftDecision, explainRepairs, toDriftEvent } from '../drift.ts';
import { type Adoption, adoptFields, explainAdoptions, ownTextsOfSecrets } from '../ownership/adopt.ts';
import { deleteBeforeApply, explainReplacements } from '../ownership/replace.ts';
import { headerFor } from '../rebuild-inventory.ts';
import { type Rollout, rollOut, rolloutBlocker, splitByWebhook } from '../rollout.ts';
import type { PassState, StageResult } from '../stage.ts';
import type { Claimed, Planned } from './plan.ts';
import type { InventoryLoaded, ManifestRead, Resolved } from './prepare.ts';
import { findReplacements, type Replacing } from './replace.ts';
import { awaiting, failed, waiting } from './results.ts';
import { addWarnings } from './warnings.ts';

export interface Classified {
  readonly drift: DriftDecision;
}

/** Separates drift from what the deployment changes, and decides what is written now. */
export async function classifyChanges({
  context,
  pass,
  plan,
  live,
  inventory,
}: PassState & Planned & InventoryLoaded): Promise<StageResult<Classified>> {
  const { entry, history, signal } = pass;
  const checked = await findDrifted(context.cluster, plan.check, live, signal);
  const { repairBackoff } = context;
  const now = Date.now();
  const drift = classifyDrift({ entry, history, plan, checked, inventory: inventory.items, live, repairBackoff, now });
  return { next: { drift } };
}

export interface Gated {
  readonly rollout: Rollout;
}

/** Sorts the writes into waves; the pass ends when an earlier wave is not healthy yet. */
export async function gateWaves({
  context,
  pass,
  objects,
  plan,
  desired,
  live,
  drift,
}: PassState & ManifestRead & Planned & Classified): Promise<StageResult<Gated>> {
  const { writes, repairs } = drift;
  const rollout: Rollout = {
    waves: wavesOf(desired, (wanted) => wanted),
    writes,
    definitions: definitionsIn(objects),
    live,
    ended: plan.ended,
    deferred: new Set(),
    isGated: !pass.isAlreadyApplied && writes.length > repairs.length,
  };
  const blocker = await rolloutBlocker(context.cluster, rollout, pass.signal);
  if (blocker?.waiting !== undefined) return { stop: waiting(pass, blocker.waiting) };
  if (blocker) return { stop: failed(pass, blocker.summary, blocker.failures) };
  return { next: { rollout } };
}

export interface Adopted {
  /** The fields taken over from other managers, by the key of the object. */
  readonly adoptions: ReadonlyMap<string, Adoption>;
}

/** Takes over, in the objects that are adopted, the fields that others have written from manifests. */
export async function adoptObjects({
  context: { cluster },
  pass: { signal },
  plan,
  live,
  rollout,
}: PassState & Planned & Gated): Promise<StageResult<Adopted>> {
  const writes = new Set(rollout.writes);
  await ownTextsOfSecrets(cluster, rollout.writes, live, signal);
  const foreign = plan.foreign.filter((wanted) => writes.has(wanted));
  return { next: { adoptions: await adoptFields(cluster, foreign, live, signal) } };
}

export interface DryRun extends Replacing {
  /** Objects that need a webhook of this stack which cannot be called for now: this revision itself may mend it. */
  readonly deferred: ReadonlySet<DesiredObject>;
  /** Number of objects that the dry run could not check. */
  readonly unchecked: number;
}

/** Asks the API server whether it would accept the writes; the pass ends, with nothing applied, when it refuses one. */
export async function dryRunWrites(
  state: PassState & Resolved & InventoryLoaded & Planned & Gated,
): Promise<StageResult<DryRun>> {
  const { context, pass, unserved, live, desired, rollout } = state;
  const { writes, definitions } = rollout;
  const needsPrerequisite = dependsOn(writes.filter(isPrerequisite), definitions);
  const unservable = unserved.filter(
    ({ object }) => !writes.some((write) => write.id === object && needsPrerequisite(write)),
  );
  const checkable = writes.filter(
    (write) => !needsPrerequisite(write) && !unservable.some(({ object }) => object === write.id),
  );
  const unready = await unreadyDefinitions(context.cluster, unservable, desired, definitions, pass.signal);
  if (unready.failures.length === 0 && unready.waiting !== undefined) return { stop: waiting(pass, unready.waiting) };
  const result = await dryRun(context.cluster, checkable, pass.signal);
  const { replacements, failures } = await findReplacements(state, live, result);
  const { uncallable, others } = splitByWebhook(rollout.waves, failures);
  const deferred = new Set(writes.filter(({ id }) => uncallable.some(({ object }) => object === id)));
  const refused = [...unready.failures, ...others];
  const isTerminating = ({ message }: Change) => message.includes('because it is being terminated');
  if (refused[0] && refused.every(isTerminating))
    return { stop: awaiting(pass, `waits for ${displayName(refused[0].object)}: ${refused[0].message}`) };
  if (refused.length > 0) return { stop: failed(pass, 'nothing was applied', refused) };
  pass.checkpoint();
  return { next: { unchecked: result.uncheckedCount + deferred.size, deferred, replacements } };
}

/**
 * Finds out whether the kinds of these objects come by themselves, because the definitions that the manifest has of them are applied
 * but not served yet. Each object whose kind no definition will serve is a failure.
 */
async function unreadyDefinitions(
  cluster: Cluster,
  unservable: readonly Change[],
  desired: readonly DesiredObject[],
  definitions: readonly CustomKind[],
  signal: AbortSignal,
): Promise<Readiness> {
  const definitionOf = ({ object }: Change) => {
    const found = definitions.find(({ group, kind }) => group === groupOf(object.apiVersion) && kind === object.kind);
    const wanted = found && desired.find(({ id }) => keyOf(id) === keyOf(found.id));
    const isServed = wanted && servedVersions(wanted.object).some(({ apiVersion }) => apiVersion === object.apiVersion);
    return isServed ? wanted : undefined;
  };
  const awaited = new Set(unservable.flatMap((change) => definitionOf(change) ?? []));
  const unready = await waitUntilReady(cluster, [...awaited], signal, { patienceMs: 0 });
  const failures = unservable.filter((change) => definitionOf(change) === undefined);
  // A kind that has come meanwhile is found by the next pass.
  const waiting =
    unready.waiting ?? (awaited.size > 0 ? 'waits for a kind that was not served a moment ago' : undefined);
  return { failures: [...failures, ...unready.failures], ...(waiting !== undefined && { waiting }) };
}

export interface Recorded {
  /** The inventory as it was saved before the first write. */
  readonly recorded: Inventory;
  readonly items: readonly InventoryItem[];
}

/**
 * Records everything that is about to be written in the inventory, and takes over the claimed objects. The pass ends when another
 * process has begun a newer order: saving finds that out, and where nothing is to be saved, such as before a repair, a question does.
 */
export async function recordInventory({
  context,
  pass,
  plan,
  inventory,
  claim,
  drift,
  replacements,
}: PassState & Planned & InventoryLoaded & Claimed & Classified & Replacing): Promise<StageResult<Recorded>> {
  const known = keepingUids(plan.inventoryItems, inventory.items, drift.writes);
  // Should the agent end between a deletion and the creation, the object counts as new, and not as one that somebody deleted.
  const items = known.map((item) => (replacements.has(keyOf(item.id)) ? { id: item.id, uid: '' } : item));
  const recorded = await context.inventories.save(inventory, headerFor(pass, false), items, pass.signal);
  const isUnchanged = recorded === inventory;
  if (isUnchanged && drift.writes.length > 0) await context.inventories.confirm(inventory, pass.signal);
  context.registry.objectsTakenOver(claim.keep());
  return { next: { recorded, items } };
}

export interface Applied {
  /** Inventory items of the objects that were written, by key. */
  readonly written: ReadonlyMap<string, InventoryItem>;
  /** Changes of the deployment itself, without repairs. */
  readonly changes: readonly Change[];
  readonly driftEvent: StackEvent | undefined;
  /** Number of objects that could not be checked while they were applied. */
  readonly uncheckedWrites: number;
}

/** Writes wave by wave; the pass ends when a write fails or a wave has to wait for the health of the one before. */
export async function applyWaves({
  context,
  pass,
  drift,
  rollout,
  adoptions,
  deferred,
  replacements,
  recorded,
  items,
}: PassState & Classified & Gated & Adopted & DryRun & Recorded): Promise<StageResult<Applied>> {
  const { inventories, repairBackoff } = context;
  // An object that goes by itself may be gone before a watch that begins later could see how it ended.
  await context.untilWatched(drift.writes.filter(({ object }) => hasExpiry(object)).map(({ id }) => id));
  const written = new Map<string, InventoryItem>();
  const beforeWrite = deleteBeforeApply(context, pass, recorded, replacements);
  const saveUids = () => inventories.save(recorded, headerFor(pass, false), withWritten(items, written), pass.signal);
  const result = await rollOut(context, pass, { ...rollout, deferred, beforeWrite }, written).catch(
    async (error: unknown) => {
      // The written objects stay. If their uids cannot be saved, the marks on the objects still show whose they are.
      if (error instanceof Superseded) await saveUids().catch(() => {});
      throw error;
    },
  );
  const explained = explainAdoptions(explainRepairs(result.changes, drift.repairs), adoptions);
  const changes = addWarnings(explainReplacements(explained, replacements));
  if (result.failures.length > 0 || result.waiting !== undefined) {
    await saveUids();
    if (result.waiting !== undefined) return { stop: waiting(pass, result.waiting, changes) };
    return { stop: failed(pass, result.summary, result.failures, changes) };
  }
  const { deploymentChanges, event } = toDriftEvent(repairBackoff, pass.entry, drift, changes);
  return { next: { written, changes: deploymentChanges, driftEvent: event, uncheckedWrites: result.uncheckedCount } };
}

/** Keeps the uid of an object that is gone and not recreated: without it, a restarted agent would take the object for a new one. */
function keepingUids(
  items: readonly InventoryItem[],
  known: ReadonlyMap<string, InventoryItem>,
  writes: readonly DesiredObject[],
): InventoryItem[] {
  const written = new Set(writes.map(({ id }) => keyOf(id)));
  return items.map((item) =>
    item.uid === '' && !written.has(keyOf(item.id)) ? (known.get(keyOf(item.id)) ?? item) : item,
  );
}

/** Returns the items as they are after what was written. */
export function withWritten(
  items: readonly InventoryItem[],
  written: ReadonlyMap<string, InventoryItem>,
): InventoryItem[] {
  return items.map((item) => written.get(keyOf(item.id)) ?? item);
}
