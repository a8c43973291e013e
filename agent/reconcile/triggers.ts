import type { Logger } from 'pino';
import type { TargetState } from '../../contract/target-state.ts';
import type { Backoff } from '../concurrency/backoff.ts';
import { createWorkQueue, type WorkQueue } from '../concurrency/work-queue.ts';
import { isUnsettled, restingPhase } from './stack.ts';
import type { Acceptance, StackStore } from './stack-store.ts';

/** Everything that makes a stack due. Each trigger only stores what it says and enqueues stacks; it never waits. */
export interface Triggers {
  /** Stores a whole target state, and enqueues the stacks that it changes. */
  targetReceived(state: TargetState): Acceptance['verdict'];
  /** Enqueues the stacks that lack this manifest. */
  manifestArrived(checksum: string): void;
  /** Enqueues a stack whose objects are no longer as its last pass left them. */
  objectsChanged(stackId: string): void;
  /** Enqueues what waits for this stack's objects to become healthy: the stack itself, and those that depend on it. */
  healthChanged(stackId: string): void;
  /** Enqueues the other stacks that have failed: they may have waited for objects that this one let go of. */
  objectsReleased(stackId: string): void;
  /** Has the state of a stack reported again, since an event about it was lost. */
  eventLost(stackId: string): void;
}

/** Bytes of manifests that passes may hold at the same time; a larger manifest is processed alone. */
const manifestBudget = 24 << 20;
/** Bytes that a pass needs besides its manifest. */
const passOverhead = 512 << 10;

/** Creates the queue of stack ids. Its limit is the memory that passes take. */
export function createStackQueue(stacks: StackStore, { retry, log }: { retry: Backoff; log: Logger }): WorkQueue {
  return createWorkQueue({
    capacity: manifestBudget,
    costOf: (stackId) => passOverhead + (stacks.entryOf(stackId)?.size ?? 0),
    backoff: retry,
    failed: (stackId, error) => log.error({ err: error, stackId }, 'a pass ended in an unexpected way'),
  });
}

export function createTriggers(stacks: StackStore, queue: WorkQueue, retry: Backoff): Triggers {
  return {
    targetReceived(state) {
      // All entries are stored before the first stack is processed: each pass has to know what the others desire.
      const { verdict, due } = stacks.accept(state);
      for (const stackId of due) {
        queue.forget(stackId);
        queue.add(stackId);
      }
      return verdict;
    },
    manifestArrived(checksum) {
      for (const stack of stacks.all())
        if (stack.entry?.checksum === checksum && isUnsettled(stack)) queue.add(stack.stackId);
    },
    objectsChanged(stackId) {
      const stack = stacks.get(stackId);
      // A stack that is not as desired anyway is retried in its own time.
      if (stack?.entry && (stack.phase.kind === 'synced' || stack.phase.kind === 'running')) queue.add(stackId);
    },
    healthChanged(stackId) {
      for (const stack of stacks.all()) {
        if (!stack.entry || restingPhase(stack).kind !== 'waiting') continue;
        if (stack.stackId === stackId || stack.entry.dependsOnIds.includes(stackId)) queue.add(stack.stackId);
      }
    },
    objectsReleased(stackId) {
      for (const stack of stacks.all()) {
        const { kind } = restingPhase(stack);
        if (stack.stackId !== stackId && stack.entry && (kind === 'backoff' || kind === 'superseded'))
          queue.addAfter(stack.stackId, retry.baseMs / 4);
      }
    },
    eventLost(stackId) {
      const stack = stacks.get(stackId);
      if (!stack) return;
      stack.reported.event = undefined;
      queue.addAfter(stackId, retry.baseMs);
    },
  };
}
