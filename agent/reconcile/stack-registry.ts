import { createSemaphore } from '../concurrency/semaphore.ts';
import type { StackView } from '../inventory/object-owners.ts';
import type { Header } from '../inventory/shards.ts';
import { desiredKeys, ManifestError, parseManifest } from '../manifest/parse.ts';
import type { StackRegistry, SyncContext } from '../sync/context.ts';
import type { Seen } from '../target/admission.ts';
import { type Entry, hasSameSpec } from '../target/target-state.ts';

/** What the reconciler keeps of one stack. */
export interface StackState {
  readonly stackId: string;
  /** What is told about it now; undefined when nothing is. */
  entry?: Entry | undefined;
  seen?: Seen | undefined;
  /** Of its inventory, as it was at the start. */
  header?: Header | undefined;
  /** A process before this one removed it, and left the note that it did. */
  isOver?: boolean | undefined;
  /** Name and owner, when it was told of last. */
  known?: Pick<StackView, 'stack' | 'generator'>;
  /** It holds something newer than what is told, and keeps it. */
  ahead?: boolean;
  /** Another process was told this, which is newer, and has begun it: nothing is done until this one is told as much. */
  newer?: Header | undefined;
  /** Keys of what a manifest desires. */
  desired?: { readonly checksum: string; readonly keys: ReadonlySet<string> };
  running?: boolean;
  /** To be worked on once more when the running pass has ended. */
  again?: boolean;
  timer?: NodeJS.Timeout | undefined;
  /** Tries since it was last as it should be. */
  attempt: number;
  settled?: boolean;
  /** Since when it has not been as it should be. */
  waitingSince?: number | undefined;
  /** Whether this process has worked on it. */
  touched: boolean;
  /** What was reported last. */
  news?: string | undefined;
  /** The message of what was reported last. */
  message?: string | undefined;
  /** What was applied in full last, by this process. */
  done?: Entry | undefined;
  /** Its deployment was begun by a process before this one, and no other was told since. */
  begun?: boolean;
  /** What was reported last of drift that is left as it is. */
  driftNews?: string | undefined;
  /** Looks since it began to wait for other objects. */
  looks?: number | undefined;
}

/** How one stack's pass sees the others. */
export function createStackRegistry(
  slots: ReadonlyMap<string, StackState>,
  { readManifest, scope }: Pick<SyncContext, 'readManifest' | 'scope'>,
  objectsTakenOver: (stackIds: Iterable<string>) => void,
): StackRegistry {
  /** Each holds a whole manifest for a moment. */
  const oneByOne = createSemaphore(1);
  const isLearned = (slot: StackState | undefined) =>
    slot?.entry?.state !== 'active' || slot.desired?.checksum === slot.entry.checksum;
  const learnOne = async (slot: StackState): Promise<boolean> => {
    const { entry } = slot;
    // Another pass may have learned it while this one waited for its turn.
    if (!entry || isLearned(slot)) return true;
    const bytes = await readManifest(entry.checksum);
    if (!bytes) return false;
    try {
      slot.desired = { checksum: entry.checksum, keys: desiredKeys(parseManifest(bytes, entry.checksum), scope) };
      return true;
    } catch (error) {
      if (error instanceof ManifestError) return false;
      throw error;
    }
  };

  return {
    async loadDesired(stackIds) {
      const unknown: string[] = [];
      for (const stackId of stackIds) {
        const slot = slots.get(stackId);
        if (slot && !isLearned(slot) && !(await oneByOne.run(() => learnOne(slot)))) unknown.push(stackId);
      }
      return unknown;
    },
    isDesiredLoaded: (stackId) => isLearned(slots.get(stackId)),
    get(stackId): StackView {
      const slot = slots.get(stackId);
      const { entry, header, known, ahead, newer, desired } = slot ?? {};
      const { stack, generator } = known ?? header ?? { stack: stackId, generator: '' };
      // Nobody knows what a stack that is ahead desires: everything that it has.
      if (ahead || newer) return { stackId, stack, generator, desired: { has: () => true } };
      return {
        stackId,
        stack,
        generator,
        desired: entry?.state === 'active' ? (desired?.keys ?? new Set()) : new Set(),
      };
    },
    progressOf(stackId) {
      const { entry, ahead, done, message } = slots.get(stackId) ?? {};
      if (ahead) return { kind: 'ahead' };
      if (!entry) return { kind: 'absent' };
      if (entry.state === 'removing') return { kind: 'removing' };
      if (!done || !hasSameSpec(done, entry)) return { kind: 'pending', message: message ?? '' };
      return { kind: 'applied', entry };
    },
    activeStacksOf: (generator, except) =>
      [...slots.values()].flatMap(({ stackId, entry }) =>
        stackId !== except && entry?.state === 'active' && entry.generator === generator ? [stackId] : [],
      ),
    objectsTakenOver,
  };
}
