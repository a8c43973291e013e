import type { Logger } from 'pino';
import { type Backoff, defaultBackoff, jittered, pause } from '../concurrency/backoff.ts';
import { createWakeup } from '../concurrency/wakeup.ts';
import type { StackEvent } from '../target/stack-event.ts';
import type { BrokerClient, EventReceipt, Numbered } from './client.ts';
import { BrokerError } from './error.ts';
import { createEventQueue, type EventQueue } from './event-queue.ts';

export interface EventReporterOptions {
  readonly broker: Pick<BrokerClient, 'report'>;
  readonly log: Logger;
  /** Called once the broker answers again, for each stack whose last state was dropped: it has to be reported again. */
  readonly lost: (stackId: string) => void;
  readonly count: (receipt: 'accepted' | 'duplicate' | 'refused' | 'dropped') => void;
  readonly retry?: Backoff;
  /** Number of events that are kept while the broker does not answer; default 1,000. */
  readonly capacity?: number;
}

export interface EventReporter {
  /** Queues an event; never waits. */
  report(event: StackEvent): void;
  readonly pending: number;
  /** Sends events until the signal aborts or the agent is fenced. */
  run(signal: AbortSignal): Promise<void>;
  /** Waits until nothing is pending, at most `waitMs`. */
  flush(waitMs: number): Promise<void>;
}

const batchEvents = 100;

/**
 * Reports what happened to stacks: oldest first, each under the next number of this incarnation, until the broker answers it. When too
 * many are pending some are dropped, old ones first; the gap in the numbers tells the broker how many. Events are not kept over a
 * restart: every stack is reported again then.
 */
export function createEventReporter(options: EventReporterOptions): EventReporter {
  const { log, retry = defaultBackoff, capacity = 1_000 } = options;
  const queue = createEventQueue(capacity);
  const added = createWakeup();
  const sender = createSender(options, queue);
  let empty = Promise.withResolvers<void>();

  return {
    report(event) {
      if (queue.push(event)) options.count('dropped');
      added.wake();
    },
    get pending() {
      return queue.size;
    },
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        if (queue.size === 0) {
          empty.resolve();
          for (const stackId of queue.takeLost()) options.lost(stackId);
          await added.wait(60_000, signal);
          continue;
        }
        empty = Promise.withResolvers();
        try {
          await sender.send(signal);
          failures = 0;
        } catch (error) {
          if (signal.aborted || (error instanceof BrokerError && error.kind === 'fenced')) return;
          log.debug({ reason: String(error) }, 'events could not be sent');
          await pause(jittered(retry, failures++), signal);
        }
      }
    },
    async flush(waitMs) {
      if (queue.size > 0) await pause(waitMs, new AbortController().signal, empty.promise);
    },
  };
}

function createSender(options: EventReporterOptions, queue: EventQueue) {
  const { broker, log } = options;
  /** After a refusal of a whole request, events are sent one by one to find the one that is refused. */
  let isSingle = false;

  const acknowledge = (batch: readonly Numbered[], receipts: readonly EventReceipt[]) => {
    const bySequence = new Map(receipts.map((receipt) => [receipt.sequence, receipt]));
    const answered = batch.flatMap(({ sequence }) => bySequence.get(sequence) ?? []);
    if (answered.length === 0) throw new BrokerError('unavailable', 'no receipt was given', undefined);
    for (const { sequence, receipt, reason } of answered) {
      options.count(receipt);
      // The broker asks never to send it again, so there is nothing to put right.
      if (receipt === 'refused') log.warn({ sequence: String(sequence), reason }, 'an event was refused');
    }
    queue.remove(new Set(answered.map(({ sequence }) => sequence)));
    isSingle = false;
  };
  const handleRefusal = (batch: readonly Numbered[], error: unknown) => {
    if (!(error instanceof BrokerError) || (error.kind !== 'invalid' && error.kind !== 'exhausted')) throw error;
    const [first] = batch;
    if (batch.length > 1) isSingle = true;
    else if (error.kind === 'exhausted' && first) queue.shrink(first.sequence);
    // Too large for something on the way, or too much at once: less is sent, and not at once.
    if (error.kind === 'exhausted') throw error;
    if (batch.length > 1 || !first) return;
    log.error({ reason: error.message }, 'the broker does not understand an event; it is dropped');
    queue.remove(new Set([first.sequence]));
    options.count('refused');
  };

  return {
    async send(signal: AbortSignal): Promise<void> {
      const batch = queue.batch(isSingle ? 1 : batchEvents);
      try {
        acknowledge(batch, await broker.report(batch, signal));
      } catch (error) {
        handleRefusal(batch, error);
      }
    },
  };
}
