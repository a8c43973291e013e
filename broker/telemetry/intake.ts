import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { Database } from '../store/database.ts';
import { sqlState } from '../store/errors.ts';
import type { Feed } from '../store/feed.ts';
import { pause } from '../store/wait.ts';
import type { WaitingBatch } from './agent-queue.ts';
import { createIntakeQueues, type IntakeQueues } from './intake-queues.ts';
import type { Quota } from './quota.ts';
import { recordTelemetry } from './record-store.ts';
import type { Batch } from './rules.ts';

/** Collects the telemetry of all agents, and writes it together. */
export interface Intake {
  /**
   * Takes a batch. `received` is called once it and all earlier batches of its agent are stored or discarded for good. Settles when
   * there is room for more; the caller must not take another batch of the agent before.
   */
  take(batch: Batch, received: () => void): Promise<void>;
  close(): Promise<void>;
}

export interface IntakeOptions {
  /** Quota of each agent, gaps included. Items over it are dropped, and counted in gaps at the end of the window. */
  readonly quota?: Quota;
  /** Maximum of bytes that wait to be written. One agent may take a sixteenth of them. */
  readonly waitingBytes?: number;
}

const defaultQuota: Quota = { items: 10_000, everyMs: 10_000 };
const defaultWaitingBytes = 64 << 20;
/** Delay of a write after the first batch, so that batches which come together are written together. */
const gatherMs = 50;
const idleMs = 60_000;
const maxRetryMs = 5_000;

export function createIntake(
  db: Database,
  feed: Feed,
  log: Logger,
  register: Registry,
  { quota = defaultQuota, waitingBytes = defaultWaitingBytes }: IntakeOptions = {},
): Intake {
  const queues = createIntakeQueues(quota, waitingBytes);
  const closing = new AbortController();
  const counter = new Counter({
    name: 'brokkr_telemetry_items_total',
    help: 'Lines, Kubernetes events and gaps from agents: kept, over a quota, about stacks that the agent does not serve, or refused by the database.',
    labelNames: ['result'],
    registers: [register],
  });
  const write = () => writeNext(queues, { db, feed, log, counter });
  const running = runWrites(queues, write, log, closing.signal);
  return {
    async take(batch, received) {
      const { dropped, room } = queues.add(batch, received);
      if (dropped > 0) counter.inc({ result: 'over_quota' }, dropped);
      await room;
    },
    async close() {
      closing.abort();
      queues.close();
      await running;
    },
  };
}

interface WriteDeps {
  readonly db: Database;
  readonly feed: Feed;
  readonly log: Logger;
  readonly counter: Counter<'result'>;
}

/** Writes the next batches. Rejects, with the batches still waiting, when the write is to be tried again. */
async function writeNext(queues: IntakeQueues, { db, feed, log, counter }: WriteDeps): Promise<void> {
  const batches = queues.next();
  const count = itemCount(batches);
  try {
    const recorded = await recordTelemetry(db, batches);
    const kept = [...recorded.values()].reduce((sum, items) => sum + items, 0);
    counter.inc({ result: 'kept' }, kept);
    counter.inc({ result: 'not_served' }, count - kept);
    queues.remove(batches);
    for (const stackId of recorded.keys()) feed.notifyTelemetry(stackId);
  } catch (error) {
    // Data exceptions and constraint violations would only recur; after other errors the write is tried again.
    if (!/^2[23]/.test(sqlState(error) ?? '')) throw error;
    log.warn({ err: String(error), count }, 'telemetry was refused by the database');
    counter.inc({ result: 'refused' }, count);
    queues.remove(batches);
  }
}

function itemCount(batches: readonly WaitingBatch[]): number {
  return batches.reduce((sum, batch) => sum + batch.items.length, 0);
}

/** Writes while batches wait, and after failures with a growing pause, until the signal aborts. */
async function runWrites(
  queues: IntakeQueues,
  write: () => Promise<void>,
  log: Logger,
  closing: AbortSignal,
): Promise<void> {
  for (let failures = 0; !closing.aborted; ) {
    if (queues.isEmpty()) await pause(idleMs, closing, queues.added());
    await pause(failures > 0 ? Math.min(100 * 2 ** failures, maxRetryMs) : gatherMs, closing);
    if (closing.aborted || queues.isEmpty()) continue;
    try {
      await write();
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 1) log.warn({ err: String(error) }, 'could not write telemetry; it is tried again');
    }
  }
}
