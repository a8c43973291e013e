import type { Logger } from 'pino';
import { traceIdOf } from '../../client/trace.ts';
import { type StackEvent, sameDrift, sameNews } from '../target/stack-event.ts';
import type { StackState } from './stack-registry.ts';

/** Tells what came of a stack, and nothing twice. */
export interface EventDeduplicator {
  /** What came of a pass. */
  tell(slot: StackState, event: StackEvent): void;
  /** What a pass found of drift; undefined for none. Repairs are told each time; what is left as it is, when it is another than before. */
  tellDrift(slot: StackState, event: StackEvent | undefined): void;
}

export function createEventDeduplicator(report: (event: StackEvent) => void, log: Logger): EventDeduplicator {
  return {
    tell(slot, event) {
      const news = sameNews(event);
      // A repair is worth telling each time.
      const isRepair = event.outcome === 'applied' && event.changes.length > 0;
      if (slot.news === news && !isRepair) return;
      slot.news = news;
      slot.message = event.message;
      const { stackId, outcome, message, changes } = event;
      const traceId = traceIdOf(slot.entry?.traceParent);
      const trace = traceId === '' ? {} : { traceId };
      log.info({ stackId, outcome, message, objects: changes.length, ...trace }, 'stack reported');
      report(event);
    },
    tellDrift(slot, event) {
      const news = event?.outcome === 'drifted' ? sameDrift(event) : undefined;
      const isOld = news !== undefined && news === slot.driftNews;
      slot.driftNews = news;
      if (!event || isOld) return;
      log.info({ stackId: event.stackId, outcome: event.outcome, objects: event.changes.length }, 'drift reported');
      report(event);
    },
  };
}

/** What was told of the stack is told again, when it comes up again. */
export function forgetNews(slot: StackState): void {
  slot.news = undefined;
  slot.driftNews = undefined;
}
