/** Knows which stacks desire an object. Changes are announced for its owner alone; the others learn how the object is. */
export interface ObjectStacks {
  ownerOf(key: string): string | undefined;
  /** Lists the stacks that desire an object, its owner first. */
  stacksOf(key: string): string[];
  /** Makes a stack the owner; the one before still desires the object. */
  own(key: string, stackId: string): void;
  /** Notes a stack that desires an object which another one owns. */
  contend(key: string, stackId: string): void;
  /** Notes that a stack does not desire the object any more. */
  drop(key: string, stackId: string): void;
  /** Number of objects with an owner. */
  readonly size: number;
  clear(): void;
}

export function createObjectStacks(): ObjectStacks {
  const owners = new Map<string, string>();
  // Few objects are desired by several stacks, so the others are kept apart.
  const contenders = new Map<string, Set<string>>();
  const contend = (key: string, stackId: string) => {
    contenders.set(key, (contenders.get(key) ?? new Set()).add(stackId));
  };
  const withdraw = (key: string, stackId: string) => {
    const others = contenders.get(key);
    if (others?.delete(stackId) && others.size === 0) contenders.delete(key);
  };
  return {
    ownerOf: (key) => owners.get(key),
    stacksOf: (key) => [owners.get(key) ?? [], ...(contenders.get(key) ?? [])].flat(),
    own(key, stackId) {
      const before = owners.get(key);
      if (before !== undefined && before !== stackId) contend(key, before);
      owners.set(key, stackId);
      withdraw(key, stackId);
    },
    contend,
    drop(key, stackId) {
      if (owners.get(key) === stackId) owners.delete(key);
      withdraw(key, stackId);
    },
    get size() {
      return owners.size;
    },
    clear() {
      owners.clear();
      contenders.clear();
    },
  };
}
