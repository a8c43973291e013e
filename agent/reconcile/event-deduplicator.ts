import type { Logger } from 'pino';
import { traceIdOf } from '../../client/trace.ts';
import { driftSignature, eventSignature, type StackEvent } from '../target/stack-event.ts';
import type { Stack } from './stack.ts';

/** Reports what happens to stacks, and nothing twice. */
export interface EventDeduplicator {
  /** Reports the outcome of a pass, unless the last event said the same. */
  emit(stack: Stack, event: StackEvent): void;
  /** Reports what a pass found of drift, if anything: each repair, but drift that is left as it is only when it differs from the last time. */
  emitDrift(stack: Stack, event: StackEvent | undefined): void;
}

export function createEventDeduplicator(report: (event: StackEvent) => void, log: Logger): EventDeduplicator {
  return {
    emit(stack, event) {
      const signature = eventSignature(event);
      const isRepair = event.outcome === 'applied' && event.changes.length > 0;
      if (stack.reported.event === signature && !isRepair) return;
      const { stackId, outcome, message, changes } = event;
      stack.reported = { ...stack.reported, event: signature, message };
      const traceId = traceIdOf(stack.entry?.traceParent);
      const trace = traceId === '' ? {} : { traceId };
      log.info({ stackId, outcome, message, objects: changes.length, ...trace }, 'stack reported');
      report(event);
    },
    emitDrift(stack, event) {
      const signature = event?.outcome === 'drifted' ? driftSignature(event) : undefined;
      const isKnown = signature !== undefined && signature === stack.reported.drift;
      stack.reported.drift = signature;
      if (!event || isKnown) return;
      log.info({ stackId: event.stackId, outcome: event.outcome, objects: event.changes.length }, 'drift reported');
      report(event);
    },
  };
}
