import { createSemaphore } from '../concurrency/semaphore.ts';
import { desiredKeys, ManifestError, parseManifest } from '../manifest/parse.ts';
import type { StackProgress, StackRegistry, SyncContext } from '../sync/context.ts';
import { type Entry, hasSameSpec } from '../target/target-state.ts';
import { restingPhase, type Stack } from './stack.ts';
import type { StackStore } from './stack-store.ts';

interface LoadedKeys {
  readonly checksum: string;
  readonly keys: ReadonlySet<string>;
}

/** Lets a pass see the agent's other stacks. `objectsTakenOver` is called with the stacks that lost objects to another one. */
export function createStackRegistry(
  stacks: StackStore,
  { readManifest, scope }: Pick<SyncContext, 'readManifest' | 'scope'>,
  objectsTakenOver: (stackIds: Iterable<string>) => void,
): StackRegistry {
  const loaded = new Map<string, LoadedKeys>();
  // One manifest at a time, since each is in memory as a whole.
  const oneByOne = createSemaphore(1);
  const isLoaded = (stackId: string) => {
    const entry = stacks.entryOf(stackId);
    return entry?.state !== 'active' || loaded.get(stackId)?.checksum === entry.checksum;
  };
  const loadOne = async (stackId: string): Promise<boolean> => {
    const entry = stacks.entryOf(stackId);
    // Another pass may have loaded them while this one waited for its turn.
    if (!entry || isLoaded(stackId)) return true;
    const keys = await keysOf(entry, readManifest, scope);
    if (keys) loaded.set(stackId, { checksum: entry.checksum, keys });
    return keys !== undefined;
  };

  return {
    async loadDesired(stackIds) {
      const unknown: string[] = [];
      for (const stackId of stackIds)
        if (!isLoaded(stackId) && !(await oneByOne.run(() => loadOne(stackId)))) unknown.push(stackId);
      return unknown;
    },
    isDesiredLoaded: isLoaded,
    get(stackId) {
      const stack = stacks.get(stackId);
      const { stack: name, generator } = stack?.label ?? stack?.header ?? { stack: stackId, generator: '' };
      return { stackId, stack: name, generator, desired: desiredBy(stack, loaded.get(stackId)) };
    },
    progressOf: (stackId) => progressOf(stacks.get(stackId)),
    activeStacksOf: (generator, except) =>
      [...stacks.all()].flatMap(({ stackId, entry }) =>
        stackId !== except && entry?.state === 'active' && entry.generator === generator ? [stackId] : [],
      ),
    objectsTakenOver,
  };
}

/** Returns the keys of what a manifest desires; undefined while it is not here, or when it cannot be read. */
async function keysOf(
  { checksum }: Entry,
  readManifest: SyncContext['readManifest'],
  scope: SyncContext['scope'],
): Promise<ReadonlySet<string> | undefined> {
  const bytes = await readManifest(checksum);
  if (!bytes) return undefined;
  try {
    return desiredKeys(parseManifest(bytes, checksum), scope);
  } catch (error) {
    if (error instanceof ManifestError) return undefined;
    throw error;
  }
}

function desiredBy(stack: Stack | undefined, loaded: LoadedKeys | undefined): Pick<ReadonlySet<string>, 'has'> {
  // A newer deployment is unknown here, and may desire everything that the stack has.
  if (stack && (stack.ahead || restingPhase(stack).kind === 'superseded')) return { has: () => true };
  return stack?.entry?.state === 'active' ? (loaded?.keys ?? new Set()) : new Set();
}

function progressOf(stack: Stack | undefined): StackProgress {
  if (stack?.ahead) return { kind: 'ahead' };
  if (!stack?.entry) return { kind: 'absent' };
  const { entry, progress, reported } = stack;
  if (entry.state === 'removing') return { kind: 'removing' };
  if (progress.kind !== 'applied' || !hasSameSpec(progress.entry, entry))
    return { kind: 'pending', message: reported.message };
  return { kind: 'applied', entry };
}
