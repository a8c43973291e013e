import type { Inventory } from '../../inventory/inventory.ts';
import { type ManifestObject, parseManifest } from '../../manifest/parse.ts';
import { orderFaults } from '../../manifest/waves.ts';
import type { DesiredObject } from '../../object/desired-object.ts';
import type { Change } from '../../target/stack-event.ts';
import { dependencyBlocker } from '../dependencies.ts';
import { newerThan, restoreInventory } from '../rebuild-inventory.ts';
import { resolveObjects } from '../resolve-objects.ts';
import type { PassState, StageResult } from '../stage.ts';
import { awaiting, failed, waiting } from './results.ts';

export interface ManifestRead {
  readonly objects: readonly ManifestObject[];
}

/** Reads the stack's manifest; the pass ends when it has not arrived yet. Throws ManifestError for one that cannot be read. */
export async function readManifest({ context, pass }: PassState): Promise<StageResult<ManifestRead>> {
  const { checksum } = pass.entry;
  const bytes = await context.readManifest(checksum);
  if (!bytes) return { stop: awaiting(pass, 'its manifest has not been received yet') };
  return { next: { objects: parseManifest(bytes, checksum) } };
}

export interface InventoryStored {
  /** The inventory as it is stored: possibly incomplete. */
  readonly stored: Inventory;
}

/** Loads the stored inventory; the pass ends when another process has begun a newer order. */
export async function loadInventory({ context, pass }: PassState): Promise<StageResult<InventoryStored>> {
  const stored = await context.inventories.load(pass.entry.stackId, pass.signal);
  const newer = newerThan(pass, stored);
  return newer ? { stop: { kind: 'overtaken', by: newer } } : { next: { stored } };
}

export interface InventoryLoaded {
  /** The complete inventory; without shards for a new stack. */
  readonly inventory: Inventory;
}

/**
 * Restores an incomplete inventory from the marks of the manifest's kinds. The pass that does so ends, so that it prunes nothing.
 */
export async function completeInventory({
  context,
  pass,
  objects,
  stored,
}: PassState & ManifestRead & InventoryStored): Promise<StageResult<InventoryLoaded>> {
  if (stored.whole) return { next: { inventory: stored } };
  const kinds = objects.map(({ object }) => object);
  const namespaces = new Set(kinds.map(({ metadata }) => metadata.namespace || context.scope.defaultNamespace));
  const inventory = await restoreInventory(context, pass, stored, kinds, namespaces);
  return inventory.shards.length > 0 ? { stop: { kind: 'repeat' } } : { next: { inventory } };
}

export interface DependencyChecked {
  /** The reason that the stack has to wait for one that it depends on; undefined when it need not. */
  readonly dependency: string | undefined;
}

/** Checks whether the stacks that this one depends on are applied and healthy. */
export async function checkDependencies({ context, pass }: PassState): Promise<StageResult<DependencyChecked>> {
  return { next: { dependency: await dependencyBlocker(context, pass) } };
}

export interface Resolved {
  readonly resolved: readonly DesiredObject[];
  /** One failure for each object whose kind the cluster does not serve, although the manifest defines it. */
  readonly unserved: readonly Change[];
}

/** Resolves kinds and namespaces and validates the order; the pass ends when an object cannot be applied here. */
export async function resolve({
  context,
  pass,
  objects,
  dependency,
}: PassState & ManifestRead & DependencyChecked): Promise<StageResult<Resolved>> {
  const { desired, failures, unserved } = await resolveObjects(context, objects, pass);
  const faults =
    failures.length > 0 ? failures : orderFaults(desired).map((fault): Change => ({ ...fault, action: 'failed' }));
  if (faults.length > 0) {
    // The stack that this one waits for may bring the kind that is not served.
    return { stop: dependency === undefined ? failed(pass, 'nothing was applied', faults) : waiting(pass, dependency) };
  }
  pass.checkpoint();
  return { next: { resolved: desired, unserved } };
}
