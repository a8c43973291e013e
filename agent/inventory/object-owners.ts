import { keyOf, namespaceOfKey } from '../object/kube-object.ts';
import type { Item } from './shards.ts';

/** A stack as others see it when they want one of its objects. */
export interface StackView {
  readonly stackId: string;
  /** Name, for people. */
  readonly stack: string;
  readonly generator: string;
  /** Keys of what it desires now; empty for a stack that is being removed, or that nobody speaks of any more. */
  readonly desired: Pick<ReadonlySet<string>, 'has'>;
}

export interface Claim {
  /** Why some objects cannot be had: key, and the name of the stack that has or wants each. */
  readonly conflicts: ReadonlyMap<string, string>;
  /** Makes the claim last: the inventory says so now. Answers the stacks that objects were taken over from. */
  keep(): Set<string>;
  /** Gives back what was not kept. */
  release(): void;
}

/** Which stack an object belongs to, over all stacks of the agent: claimed before an inventory is written. */
export interface Ownership {
  /** What an inventory says, at the start and whenever it was written. */
  note(stackId: string, items: Iterable<Item>): void;
  ownerOf(key: string): string | undefined;
  /** In which stacks have anything; empty for what is in none. */
  namespaces(): Set<string>;
  /** Owners of these, other than the stack itself. */
  ownersOf(keys: Iterable<string>, stackId: string): Set<string>;
  /** Forgets what the stack no longer has. */
  drop(stackId: string, keys: Iterable<string>): void;
  /**
   * Claims objects for a stack, all or none. An object that its owner, of the same generator, no longer desires is handed over; any
   * other that belongs to another stack, or is being claimed by one, is a conflict. Does not wait, so that two claims cannot cross.
   */
  claim(
    stack: Pick<StackView, 'stackId' | 'generator'>,
    keys: Iterable<string>,
    stackView: (stackId: string) => StackView,
  ): Claim;
}

export function createOwnership(): Ownership {
  const owners = new Map<string, string>();
  const claims = new Map<string, string>();
  return {
    note(stackId, items) {
      for (const { id } of items) if (!owners.has(keyOf(id))) owners.set(keyOf(id), stackId);
    },
    ownerOf: (key) => owners.get(key),
    namespaces: () => new Set([...owners.keys()].map(namespaceOfKey)),
    ownersOf(keys, stackId) {
      const found = new Set<string>();
      for (const key of keys) {
        const owner = owners.get(key);
        if (owner !== undefined && owner !== stackId) found.add(owner);
      }
      return found;
    },
    drop(stackId, keys) {
      for (const key of keys) if (owners.get(key) === stackId) owners.delete(key);
    },
    claim({ stackId, generator }, keys, stackView) {
      const wanted = [...keys];
      const conflicts = new Map<string, string>();
      for (const key of wanted) {
        const rival = claims.get(key);
        const owner = owners.get(key);
        if (rival !== undefined && rival !== stackId) conflicts.set(key, stackView(rival).stack);
        if (owner === undefined || owner === stackId) continue;
        const other = stackView(owner);
        if (other.generator !== generator || other.desired.has(key)) conflicts.set(key, other.stack);
      }
      if (conflicts.size === 0) for (const key of wanted) claims.set(key, stackId);
      const release = () => {
        for (const key of wanted) if (claims.get(key) === stackId) claims.delete(key);
      };
      return {
        conflicts,
        keep() {
          const givers = new Set<string>();
          for (const key of wanted) {
            const owner = owners.get(key);
            if (owner !== undefined && owner !== stackId) givers.add(owner);
            owners.set(key, stackId);
          }
          release();
          return givers;
        },
        release,
      };
    },
  };
}
