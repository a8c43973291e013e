import { keyOf, namespaceOfKey } from '../object/kube-object.ts';
import type { InventoryItem } from './shards.ts';

/** The part of a stack that matters to other stacks that want one of its objects. */
export interface StackView {
  readonly stackId: string;
  /** Name of the stack, for messages. */
  readonly stack: string;
  readonly generator: string;
  /** Keys of the objects that it desires; empty for a stack that is being removed or no longer in the target state. */
  readonly desired: Pick<ReadonlySet<string>, 'has'>;
}

/** A stack's claim to objects, which lasts until it is kept or released. */
export interface Claim {
  /** Names of the stacks that have or claim the objects which this stack cannot have, by key. Empty when the claim was granted. */
  readonly conflicts: ReadonlyMap<string, string>;
  /** Makes the stack the owner, once the inventory records it. Returns the stacks from which objects were taken over. */
  keep(): Set<string>;
  /** Gives up the claim; what was kept stays owned. */
  release(): void;
}

/** Tracks which stack of the agent each object belongs to. Objects are claimed before they are recorded in an inventory. */
export interface Ownership {
  /** Records the objects of an inventory, at the start and after it was restored. Does not change existing owners. */
  recordItems(stackId: string, items: Iterable<InventoryItem>): void;
  /** Returns the id of the stack that owns the object with this key. */
  ownerOf(key: string): string | undefined;
  /** Returns the namespaces in which stacks own objects; the empty name stands for cluster-scoped objects. */
  namespaces(): Set<string>;
  /** Returns the owners of these objects, other than the stack itself. */
  ownersOf(keys: Iterable<string>, stackId: string): Set<string>;
  /** Forgets objects that the stack no longer has. */
  forgetItems(stackId: string, keys: Iterable<string>): void;
  /**
   * Claims objects for a stack, all or none. An object is handed over when its owner is of the same generator and no longer desires
   * it; any other object that another stack owns or claims is a conflict. Synchronous, so that two claims cannot interleave.
   */
  claim(
    stack: Pick<StackView, 'stackId' | 'generator'>,
    keys: Iterable<string>,
    stackView: (stackId: string) => StackView,
  ): Claim;
}

/** Creates the empty record of owners. */
export function createOwnership(): Ownership {
  const owners = new Map<string, string>();
  const claims = new Map<string, string>();
  const ownersOf = (keys: Iterable<string>, stackId: string) => {
    const others = new Set<string>();
    for (const key of keys) {
      const owner = owners.get(key);
      if (owner !== undefined && owner !== stackId) others.add(owner);
    }
    return others;
  };
  return {
    recordItems(stackId, items) {
      for (const { id } of items) if (!owners.has(keyOf(id))) owners.set(keyOf(id), stackId);
    },
    ownerOf: (key) => owners.get(key),
    namespaces: () => new Set([...owners.keys()].map(namespaceOfKey)),
    ownersOf,
    forgetItems(stackId, keys) {
      for (const key of keys) if (owners.get(key) === stackId) owners.delete(key);
    },
    claim({ stackId, generator }, keys, stackView) {
      const claimedKeys = [...keys];
      const conflicts = new Map<string, string>();
      for (const key of claimedKeys) {
        const claimant = claims.get(key);
        const owner = owners.get(key);
        if (claimant !== undefined && claimant !== stackId) conflicts.set(key, nameFor(generator, stackView(claimant)));
        if (owner === undefined || owner === stackId) continue;
        const other = stackView(owner);
        if (other.generator !== generator || other.desired.has(key)) conflicts.set(key, nameFor(generator, other));
      }
      if (conflicts.size === 0) for (const key of claimedKeys) claims.set(key, stackId);
      const release = () => {
        for (const key of claimedKeys) if (claims.get(key) === stackId) claims.delete(key);
      };
      return {
        conflicts,
        keep() {
          const previousOwners = ownersOf(claimedKeys, stackId);
          for (const key of claimedKeys) owners.set(key, stackId);
          release();
          return previousOwners;
        },
        release,
      };
    },
  };
}

/**
 * Names a stack in a message to a generator: one tenant is not told what another one has. What the system generator is told, only
 * admins read.
 */
export function nameFor(
  generator: string,
  { generator: owner, stack }: Pick<StackView, 'generator' | 'stack'>,
): string {
  return generator === owner || generator === 'system' ? `stack ${stack}` : 'a stack of another generator';
}
