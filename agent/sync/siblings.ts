import { nameFor } from '../inventory/object-owners.ts';
import type { InventoryItem } from '../inventory/shards.ts';
import { keyOf } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import type { SyncContext } from './context.ts';

/** The desired objects of the stacks that may take over objects of this one. */
export interface Siblings {
  /** Siblings whose manifest has not arrived, so that nobody knows what they desire. */
  readonly missing: readonly string[];
  /** Returns whether one of the siblings desires the object, by key. */
  isDesired(key: string): boolean;
}

/** Returns the ids of the generator's other active stacks: only these may take over objects that this stack no longer lists. */
export function siblingsOf({ registry }: Pick<SyncContext, 'registry'>, { generator, stackId }: Entry): string[] {
  return registry.activeStacksOf(generator, stackId);
}

/** Loads what the siblings desire. Without unlisted objects there is nothing to take over, and no manifest is read. */
export async function loadSiblings(
  context: Pick<SyncContext, 'registry'>,
  entry: Entry,
  hasUnlisted: boolean,
): Promise<Siblings> {
  const { registry } = context;
  const siblings = hasUnlisted ? siblingsOf(context, entry) : [];
  const missing = await registry.loadDesired(siblings);
  return { missing, isDesired: (key) => siblings.some((stackId) => registry.get(stackId).desired.has(key)) };
}

/**
 * Returns how to find, and name, the other stack that is being removed and has an object, by the object's key. A stack whose own removal may wait
 * for this one, because a namespace of it has some of these objects, is left out: the two would wait for each other for ever.
 */
export function removedWithIn(
  { registry, ownership }: Pick<SyncContext, 'registry' | 'ownership'>,
  stackId: string,
  toDelete: readonly InventoryItem[],
): (key: string) => string | undefined {
  const namespaces = new Set(toDelete.map(({ id }) => id.namespace));
  const owners = [...namespaces].map((name) =>
    ownership.ownerOf(keyOf({ apiVersion: 'v1', kind: 'Namespace', namespace: '', name })),
  );
  const { generator } = registry.get(stackId);
  return (key) => {
    const owner = ownership.ownerOf(key);
    if (owner === undefined || owner === stackId || owners.includes(owner)) return undefined;
    return registry.progressOf(owner).kind === 'removing' ? nameFor(generator, registry.get(owner)) : undefined;
  };
}
