import type { Logger } from 'pino';
import { type Backoff, jittered, pause, usualRetry } from '../concurrency/backoff.ts';
import type { StackEvent } from '../target/stack-event.ts';
import type { Numbered, Wire } from './client.ts';
import { BrokerError } from './error.ts';
import { fitting, sizeOfEvent } from './events.ts';

export interface ReporterOptions {
  readonly wire: Pick<Wire, 'report'>;
  readonly log: Logger;
  /** What was to be told of a stack was dropped, and the broker answers again: now is the time to tell it anew. */
  readonly lost: (stackId: string) => void;
  readonly count: (receipt: 'accepted' | 'duplicate' | 'refused' | 'dropped') => void;
  /** Another agent runs with this key. */
  readonly fenced: (reason: string) => void;
  readonly retry?: Backoff;
  /** Events kept while the broker does not answer. */
  readonly capacity?: number;
}

export interface Reporter {
  /** Sends the event when its turn comes; never waits. */
  report(event: StackEvent): void;
  readonly pending: number;
  /** Sends until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Waits until nothing is pending, at most so long. */
  flush(waitMs: number): Promise<void>;
}

const batchEvents = 100;
/** Requests are limited to 1 MiB. */
const batchBytes = 512 << 10;

/**
 * Tells the broker what came of passes: oldest first, each under the next number of this incarnation, until it is answered. When there
 * are too many, some are dropped, old ones first; the jump in the numbers tells the broker how many. Events are not kept over a restart: every
 * stack is told anew then.
 */
export function createReporter(options: ReporterOptions): Reporter {
  const { wire, log, retry = usualRetry, capacity = 1_000 } = options;
  let queue: Numbered[] = [];
  let sequence = 0n;
  let news = Promise.withResolvers<void>();
  let empty = Promise.withResolvers<void>();
  /** After a refusal of the whole call: one by one, to find whom it is about. */
  let single = false;

  const lost = new Set<string>();

  /** Rather what says nothing of how a stack is, or of which a later one tells the newer truth; else the oldest. */
  const dropOne = () => {
    const latest = new Map(
      queue.flatMap(({ sequence: number, event }) => (isStanding(event) ? [[event.stackId, number]] : [])),
    );
    const spare = queue.findIndex(
      ({ sequence: number, event }) => !isStanding(event) || latest.get(event.stackId) !== number,
    );
    const [dropped] = queue.splice(Math.max(0, spare), 1);
    if (spare < 0 && dropped) lost.add(dropped.event.stackId);
    options.count('dropped');
  };
  const sendSome = async (signal: AbortSignal) => {
    const batch = takeBatch(queue, single ? 1 : batchEvents);
    try {
      const receipts = await wire.report(batch, signal);
      const answers = new Map(receipts.map((receipt) => [receipt.sequence, receipt]));
      const answered = batch.filter(({ sequence: number }) => answers.has(number));
      if (answered.length === 0) throw new BrokerError('unavailable', 'no receipt was given', undefined);
      for (const { sequence: number } of answered) {
        const answer = answers.get(number)!;
        options.count(answer.receipt);
        // Nothing that could be put right: the broker says never to send it again.
        if (answer.receipt === 'refused')
          log.warn({ sequence: String(number), reason: answer.reason }, 'an event was refused');
      }
      const done = new Set(answered.map(({ sequence: number }) => number));
      queue = queue.filter(({ sequence: number }) => !done.has(number));
      single = false;
    } catch (error) {
      if (!(error instanceof BrokerError) || (error.kind !== 'invalid' && error.kind !== 'exhausted')) throw error;
      const [first] = batch;
      if (batch.length > 1) single = true;
      else if (error.kind === 'exhausted' && first)
        queue = queue.map((each) => (each === first ? { ...each, event: withoutFields(each.event) } : each));
      // Too large for something on the way, or too much at once: less of it, and not at once.
      if (error.kind === 'exhausted') throw error;
      if (batch.length > 1) return;
      log.error({ reason: error.message }, 'the broker does not understand an event; it is dropped');
      queue = queue.filter((numbered) => numbered !== first);
      options.count('refused');
    }
  };

  return {
    report(event) {
      sequence += 1n;
      queue.push({ sequence, event: fitting(event) });
      if (queue.length > capacity) dropOne();
      news.resolve();
    },
    get pending() {
      return queue.length;
    },
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        if (queue.length === 0) {
          empty.resolve();
          for (const stackId of lost) options.lost(stackId);
          lost.clear();
          news = Promise.withResolvers();
          await pause(60_000, signal, news.promise);
          continue;
        }
        empty = Promise.withResolvers();
        try {
          await sendSome(signal);
          failures = 0;
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof BrokerError && error.kind === 'fenced') return options.fenced(error.message);
          log.debug({ reason: String(error) }, 'events could not be sent');
          await pause(jittered(retry, failures++), signal);
        }
      }
    },
    async flush(waitMs) {
      if (queue.length > 0) await pause(waitMs, new AbortController().signal, empty.promise);
    },
  };
}

/** Whether the broker takes from it how the stack is; of drift it keeps no more than the record. */
function isStanding({ outcome }: StackEvent): boolean {
  return outcome !== 'drifted' && outcome !== 'repaired';
}

function takeBatch(queue: readonly Numbered[], most: number): Numbered[] {
  const batch: Numbered[] = [];
  let bytes = 0;
  for (const numbered of queue.slice(0, most)) {
    bytes += sizeOfEvent(numbered.event);
    if (batch.length > 0 && bytes > batchBytes) break;
    batch.push(numbered);
  }
  return batch;
}

function withoutFields(event: StackEvent): StackEvent {
  return { ...event, changes: event.changes.map(({ object, action, message }) => ({ object, action, message })) };
}
