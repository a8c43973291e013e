import type { Logger } from 'pino';
import { type Backoff, jittered } from '../concurrency/backoff.ts';
import type { WorkQueue } from '../concurrency/work-queue.ts';
import type { InventoryHeader } from '../inventory/shards.ts';
import type { PassResult, SyncContext } from '../sync/context.ts';
import type { EventDeduplicator } from './event-deduplicator.ts';
import { restingPhase, type Stack } from './stack.ts';
import type { Triggers } from './triggers.ts';

/** The parts that learn of the result of a pass. */
export interface OutcomeParts {
  readonly context: Pick<SyncContext, 'objectCache'>;
  readonly queue: WorkQueue;
  readonly triggers: Triggers;
  readonly events: EventDeduplicator;
  /** Called when another process has begun something newer: the broker has to be asked for it. */
  readonly superseded: () => void;
  readonly log: Logger;
  readonly retry: Backoff;
  /** Milliseconds after which a stack that is as desired is checked again, 20 % more or less. */
  readonly resyncMs: number;
}

type ResultOf<Kind extends PassResult['kind']> = Extract<PassResult, { kind: Kind }>;

/** Delay between checks whether other objects have become healthy, when no watch says so. */
const healthCheck: Backoff = { baseMs: 500, maxMs: 10_000 };
/** Milliseconds after which a failure is reported that mostly passes by itself. */
const patienceMs = 5_000;

/** Reports the result of a pass, sets the stack's phase and decides when the stack is due again. */
export function settle(parts: OutcomeParts, stack: Stack, result: PassResult): void {
  parts.context.objectCache.settled(stack.stackId, result.kind === 'settled');
  switch (result.kind) {
    case 'repeat':
      stack.phase = { kind: 'pending' };
      parts.queue.add(stack.stackId);
      break;
    case 'overtaken':
      supersede(parts, stack, result.by);
      break;
    case 'settled':
      finish(parts, stack, result);
      break;
    case 'waiting':
      waitForHealth(parts, stack, result);
      break;
    case 'unsettled':
      backOff(parts, stack, result);
      break;
  }
}

function supersede({ queue, superseded, log }: OutcomeParts, stack: Stack, by: InventoryHeader): void {
  const { stackId, entry } = stack;
  // If the stack became due during the pass, the next pass decides.
  if (queue.isDue(stackId)) {
    stack.phase = { kind: 'pending' };
    return;
  }
  const before = restingPhase(stack);
  const isKnown = before.kind === 'superseded' && before.by.epoch === by.epoch && before.by.order === by.order;
  const orders = { listed: String(entry?.order), epoch: String(by.epoch), order: String(by.order) };
  if (!isKnown)
    log.warn(
      { stackId, ...orders },
      'another process has applied a newer deployment; this one waits until the broker lists it',
    );
  stack.phase = { kind: 'superseded', by };
  superseded();
  queue.addRateLimited(stackId);
}

function finish(parts: OutcomeParts, stack: Stack, { event, drift, recheckMs }: ResultOf<'settled'>): void {
  const { queue, triggers, events, resyncMs } = parts;
  const { stackId } = stack;
  queue.forget(stackId);
  stack.phase = { kind: 'synced' };
  events.emit(stack, event);
  events.emitDrift(stack, drift);
  triggers.healthChanged(stackId);
  if (event.changes.some(({ action }) => action === 'deleted')) triggers.objectsReleased(stackId);
  const resyncAfterMs = resyncMs * (0.8 + 0.4 * Math.random());
  if (stack.entry?.state === 'active') queue.addAfter(stackId, Math.min(recheckMs ?? resyncAfterMs, resyncAfterMs));
}

function waitForHealth({ queue, events, retry }: OutcomeParts, stack: Stack, { event }: ResultOf<'waiting'>): void {
  const before = restingPhase(stack);
  // A pass that changed something waits for other objects than the one before.
  const checks = before.kind === 'waiting' && event.changes.length === 0 ? before.checks + 1 : 1;
  queue.forget(stack.stackId);
  stack.phase = { kind: 'waiting', checks };
  events.emit(stack, event);
  queue.addAfter(stack.stackId, healthCheck.baseMs / 4 + Math.min(retry.maxMs, jittered(healthCheck, checks)));
}

function backOff(
  { queue, events, retry }: OutcomeParts,
  stack: Stack,
  { event, waiting }: ResultOf<'unsettled'>,
): void {
  const before = restingPhase(stack);
  const since = before.kind === 'backoff' ? before.since : Date.now();
  stack.phase = { kind: 'backoff', since };
  const waitedMs = Date.now() - since;
  if (!waiting || waitedMs > patienceMs) events.emit(stack, event);
  if (!waiting) {
    queue.addRateLimited(stack.stackId);
    return;
  }
  // The awaited state comes by itself, so the interval of the checks is bounded.
  queue.forget(stack.stackId);
  queue.addAfter(
    stack.stackId,
    Math.min(retry.maxMs, Math.max(healthCheck.baseMs, Math.min(healthCheck.maxMs, waitedMs / 4))),
  );
}
