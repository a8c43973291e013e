import type { Logger } from 'pino';
import type { Backoff } from '../concurrency/backoff.ts';
import type { WorkQueue } from '../concurrency/work-queue.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { PassResult, SyncContext } from '../sync/context.ts';
import { createRepairBackoff } from '../sync/repair-backoff.ts';
import { contextForStack } from '../sync/stack-context.ts';
import { eventOf, type StackEvent } from '../target/stack-event.ts';
import { type Entry, hasSameSpec, isSameDeployment } from '../target/target-state.ts';
import { createEventDeduplicator } from './event-deduplicator.ts';
import { type OutcomeParts, settle } from './pass-outcome.ts';
import { runPass } from './run-pass.ts';
import { restingPhase, type Stack } from './stack.ts';
import { createStackRegistry } from './stack-registry.ts';
import type { StackStore } from './stack-store.ts';
import type { Triggers } from './triggers.ts';

export interface ReconcilerOptions {
  readonly context: Omit<SyncContext, 'registry' | 'repairBackoff' | 'maxDeletions'>;
  /** Returns how many deletions at once need no confirmation; asked for each pass. */
  readonly maxDeletions: () => number;
  readonly stacks: StackStore;
  /** The ids of the stacks to process. */
  readonly queue: WorkQueue;
  readonly triggers: Triggers;
  readonly report: (event: StackEvent) => void;
  /** Called after each pass. `fresh` is the entry when its deployment had not been applied in full before. */
  readonly observePass: (outcome: string, seconds: number, fresh: Entry | undefined) => void;
  /** Called when another process has begun something newer: the broker has to be asked for it. */
  readonly superseded: () => void;
  readonly log: Logger;
  readonly retry: Backoff;
  /** Milliseconds after which a stack that is as desired is checked again, 20 % more or less; default 10 minutes. */
  readonly resyncMs?: number;
}

/** Makes the cluster be as the broker asks, each stack by itself: none waits for another's failure or slowness. */
export interface Reconciler {
  /** Gives up running passes at their next safe point, aborts those that need longer than `graceMs`, and starts no more. */
  close(graceMs: number): Promise<void>;
}

/** The parts that processing a stack works with. */
interface Parts extends OutcomeParts, Pick<ReconcilerOptions, 'stacks' | 'observePass' | 'maxDeletions'> {
  readonly context: Omit<SyncContext, 'maxDeletions'>;
  /** False once the agent is paused or closing: then running passes are given up. */
  mayRun(): boolean;
  /** Aborts passes that are not given up in time. */
  readonly signal: AbortSignal;
}

const defaultResyncMs = 10 * 60_000;

/** Starts to process the stacks of the queue. */
export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { stacks, queue, resyncMs = defaultResyncMs } = options;
  const closing = new AbortController();
  let isClosing = false;
  const registry = createStackRegistry(stacks, options.context, (stackIds) => {
    for (const stackId of stackIds) queue.add(stackId);
  });
  const parts: Parts = {
    ...options,
    resyncMs,
    context: { ...options.context, repairBackoff: createRepairBackoff(), registry },
    events: createEventDeduplicator(options.report, options.log),
    mayRun: () => !stacks.isPaused && !isClosing,
    signal: closing.signal,
  };
  queue.start((stackId) => processStack(parts, stackId));
  return {
    async close(graceMs) {
      isClosing = true;
      const abort = () => closing.abort(new Error('the agent stops'));
      const timer = setTimeout(abort, graceMs);
      await queue.close();
      clearTimeout(timer);
      abort();
    },
  };
}

/** Brings one stack closer to what the broker asks for now, whatever made it due. */
async function processStack(parts: Parts, stackId: string): Promise<void> {
  const stack = parts.stacks.get(stackId);
  if (!stack || !parts.mayRun()) return;
  const { entry, ahead } = stack;
  if (entry?.state !== 'active') parts.context.objectCache.forget(stackId);
  if (ahead) {
    const message = 'the cluster holds something newer than the broker knows, and keeps it';
    parts.events.emit(stack, eventOf(ahead, 'ahead', message));
    return;
  }
  if (!entry) return removeRemnant(parts, stack);
  stack.phase = { kind: 'running', before: restingPhase(stack) };
  try {
    await syncOnce(parts, stack, entry);
  } finally {
    stack.phase = restingPhase(stack);
  }
}

async function syncOnce(parts: Parts, stack: Stack, entry: Entry): Promise<void> {
  const { progress } = stack;
  const startedAt = performance.now();
  // A deployment that an earlier process began does not count as new, since nobody knows how far that one came.
  const isFresh =
    entry.state === 'active' && (progress.kind === 'new' || (progress.kind === 'begun' && stack.isTouched));
  const result = await attempt(parts, stack, entry);
  if (!result) return;
  const outcome = 'event' in result ? result.event.outcome : result.kind;
  parts.observePass(outcome, (performance.now() - startedAt) / 1000, isFresh ? entry : undefined);
  // If the deployment changed during the pass, the result says nothing about the new one.
  const isLatest = stack.entry !== undefined && isSameDeployment(stack.entry, entry);
  if (result.kind === 'settled' && entry.state === 'active' && isLatest) stack.progress = { kind: 'applied', entry };
  settle(parts, stack, result);
}

function attempt(parts: Parts, stack: Stack, entry: Entry): Promise<PassResult | undefined> {
  const { stacks, log, signal } = parts;
  const { progress } = stack;
  const context = { ...parts.context, maxDeletions: parts.maxDeletions() };
  const isFirst = !stack.isTouched;
  stack.isTouched = true;
  const isAlreadyApplied = progress.kind === 'applied' && hasSameSpec(progress.entry, entry);
  const epoch = stack.seen?.epoch ?? stacks.epoch;
  const pass = { entry, epoch, isFirst, isAlreadyApplied, history: progress.kind, signal };
  const isCurrent = () =>
    stack.entry !== undefined && hasSameSpec(stack.entry, entry) && parts.mayRun() && !signal.aborted;
  return runPass(contextForStack(entry, context), pass, isCurrent, log);
}

/** Deletes the inventory of a stack that was removed and that the broker no longer lists. Any other inventory is kept. */
async function removeRemnant(parts: Parts, stack: Stack): Promise<void> {
  const { context, signal, log } = parts;
  const { stackId } = stack;
  try {
    const inventory = await context.inventories.load(stackId, signal);
    if (stack.entry || !inventory.header?.removed || inventory.items.size > 0) return;
    await context.inventories.remove(inventory, signal);
  } catch (error) {
    if (signal.aborted) return;
    log.warn({ stackId, reason: errorMessage(error) }, 'a removed stack’s inventory could not be deleted');
    parts.queue.addAfter(stackId, parts.retry.maxMs);
  }
}
