import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { Feed } from '../store/feed.ts';
import { type Database, sqlState } from '../store/orm.ts';
import { pause } from '../store/wait.ts';
import { bytesOf, createMeter, gapsFor, type Meter, type Quota, type Told } from './rules.ts';
import { type Batch, recordTelemetry } from './store.ts';

/** Collects what agents tell, and writes it together. */
export interface Intake {
  /** Takes a batch without waiting; `received` is called when it is kept, or has turned out to be of no use. */
  take(batch: Batch, received: () => void): void;
  close(): Promise<void>;
}

export interface IntakeOptions {
  /** Of each agent. What is over it is dropped, with a mark. */
  readonly quota?: Quota;
  /** Of everything that waits to be written. */
  readonly waitingBytes?: number;
}

interface Waiting extends Batch {
  readonly bytes: number;
  readonly received: () => void;
}

const usualQuota: Quota = { items: 10_000, everyMs: 10_000 };
const usualWaitingBytes = 64 << 20;
/** Between the first of some batches and the statement that writes them. */
const gatherMs = 50;
const writtenItems = 2_000;
const writtenBytes = 4 << 20;
const longestRetryMs = 5_000;

export function createIntake(
  db: Database,
  feed: Feed,
  log: Logger,
  register: Registry,
  { quota = usualQuota, waitingBytes = usualWaitingBytes }: IntakeOptions = {},
): Intake {
  const meters = new Map<string, Meter>();
  const closing = new AbortController();
  let waiting: Waiting[] = [];
  let bytes = 0;
  let news = Promise.withResolvers<void>();
  const items = new Counter({
    name: 'brokkr_telemetry_items_total',
    help: 'Lines, Kubernetes events and gaps from agents: kept, over a quota, about stacks that the agent does not serve, or refused by the database.',
    labelNames: ['result'],
    registers: [register],
  });

  const meterOf = (agentId: string): Meter => {
    const meter = meters.get(agentId) ?? createMeter(quota);
    meters.set(agentId, meter);
    return meter;
  };
  const admitted = ({ agentId, items: told }: Batch): readonly Told[] => {
    const passing = bytes > waitingBytes ? 0 : meterOf(agentId).admit(told.length, Date.now());
    if (passing === told.length) return told;
    items.inc({ result: 'over_quota' }, told.length - passing);
    return [...told.slice(0, passing), ...gapsFor(told.slice(passing), 'quota')];
  };
  /** Writes the first of what waits; until that is done, it goes on waiting. */
  const write = async () => {
    const some = firstOf(waiting);
    const count = some.reduce((sum, batch) => sum + batch.items.length, 0);
    const done = () => {
      waiting = waiting.slice(some.length);
      for (const batch of some) {
        bytes -= batch.bytes;
        batch.received();
      }
    };
    try {
      const kept = await recordTelemetry(db, some);
      const total = [...kept.values()].reduce((sum, one) => sum + one, 0);
      items.inc({ result: 'kept' }, total);
      items.inc({ result: 'not_served' }, count - total);
      done();
      for (const stackId of kept.keys()) feed.reportTelemetry(stackId);
    } catch (error) {
      // Data that the database does not take is not going to be better; with anything else, it is to be tried again.
      if (!/^2[23]/.test(sqlState(error) ?? '')) throw error;
      log.warn({ err: String(error), count }, 'telemetry was refused by the database');
      items.inc({ result: 'refused' }, count);
      done();
    }
  };
  const run = async () => {
    for (let failures = 0; !closing.signal.aborted; ) {
      if (waiting.length === 0) await pause(60_000, closing.signal, news.promise);
      await pause(failures > 0 ? Math.min(100 * 2 ** failures, longestRetryMs) : gatherMs, closing.signal);
      news = Promise.withResolvers();
      if (closing.signal.aborted || waiting.length === 0) continue;
      try {
        await write();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (failures === 1) log.warn({ err: String(error) }, 'could not write telemetry; it is tried again');
      }
    }
  };
  const running = run();
  return {
    take(batch, received) {
      const told = admitted(batch);
      const size = told.reduce((sum, item) => sum + bytesOf(item), 0);
      waiting.push({ ...batch, items: told, bytes: size, received });
      bytes += size;
      news.resolve();
    },
    async close() {
      closing.abort();
      await running;
    },
  };
}

function firstOf(waiting: readonly Waiting[]): Waiting[] {
  const some: Waiting[] = [];
  let count = 0;
  let bytes = 0;
  for (const batch of waiting) {
    count += batch.items.length;
    bytes += batch.bytes;
    if (some.length > 0 && (count > writtenItems || bytes > writtenBytes)) break;
    some.push(batch);
  }
  return some;
}
