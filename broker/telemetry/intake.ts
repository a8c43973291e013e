import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { Database } from '../store/database.ts';
import { sqlState } from '../store/errors.ts';
import type { Feed } from '../store/feed.ts';
import { pause } from '../store/wait.ts';
import { bytesOf, createMeter, createTally, type Meter, type Quota, type Tally } from './rules.ts';
import { type Batch, recordTelemetry } from './store.ts';

/** Collects what agents tell, and writes it together. */
export interface Intake {
  /**
   * Takes a batch; `received` is called when it, and all that its agent told before, is kept or has turned out to be of no use.
   * Settles when there is room for more: who goes on telling before that fills the memory.
   */
  take(batch: Batch, received: () => void): Promise<void>;
  close(): Promise<void>;
}

export interface IntakeOptions {
  /** Of each agent, marks included. What is over it is dropped, with marks when the time is over. */
  readonly quota?: Quota;
  /** Of everything that waits to be written; one agent has a part of it. */
  readonly waitingBytes?: number;
}

interface Waiting extends Batch {
  readonly bytes: number;
  readonly received: () => void;
}

/** What one agent tells. */
interface Line {
  readonly meter: Meter;
  /** To be written, in order. */
  readonly waiting: Waiting[];
  bytes: number;
  /** What was over the quota, until there may be more: its last batch, and how much it was. */
  over:
    | {
        readonly tally: Tally;
        readonly timer: NodeJS.Timeout;
        readonly last: Batch;
        readonly received: () => void;
      }
    | undefined;
}

const usualQuota: Quota = { items: 10_000, everyMs: 10_000 };
const usualWaitingBytes = 64 << 20;
/** Of the bytes that wait, one agent's at most. */
const shareOfOne = 1 / 16;
/** Of a quota, the marks for what was over the one before. */
const shareOfMarks = 0.1;
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
  const lines = new Map<string, Line>();
  /** The lines with something to write: whose turn was longest ago comes first. */
  const turns = new Set<Line>();
  const closing = new AbortController();
  let bytes = 0;
  let news = Promise.withResolvers<void>();
  let room = Promise.withResolvers<void>();
  const items = new Counter({
    name: 'brokkr_telemetry_items_total',
    help: 'Lines, Kubernetes events and gaps from agents: kept, over a quota, about stacks that the agent does not serve, or refused by the database.',
    labelNames: ['result'],
    registers: [register],
  });

  const lineOf = (agentId: string): Line => {
    const line = lines.get(agentId) ?? { meter: createMeter(quota), waiting: [], bytes: 0, over: undefined };
    lines.set(agentId, line);
    return line;
  };
  const push = (line: Line, batch: Batch, received: () => void) => {
    const size = batch.items.reduce((sum, item) => sum + bytesOf(item), 0);
    line.waiting.push({ ...batch, bytes: size, received });
    line.bytes += size;
    bytes += size;
    turns.add(line);
    news.resolve();
  };
  /** Keeps how much of a batch was told, not what: of one that is told again, only once. */
  const leaveOut = (line: Line, batch: Batch, received: () => void) => {
    const { over } = line;
    if (over && !isLater(batch, over.last)) {
      line.over = { ...over, received };
      return;
    }
    const tally = over?.tally ?? createTally(Math.ceil(quota.items * shareOfMarks));
    const timer = over?.timer ?? setTimeout(() => mark(line), line.meter.endsAt() - Date.now()).unref();
    line.over = { tally, timer, last: { ...batch, items: [] }, received };
    tally.add(batch.items);
    items.inc({ result: 'over_quota' }, batch.items.length);
  };
  /** Once the time is over: what was left out before stands before what comes now, and counts. */
  const mark = (line: Line) => {
    const { over, meter } = line;
    if (!over) return;
    clearTimeout(over.timer);
    line.over = undefined;
    const marks = over.tally.marks('quota');
    meter.admit(marks.length, Math.max(Date.now(), meter.endsAt()));
    push(line, { ...over.last, items: marks }, over.received);
  };
  const isFull = (line: Line) => line.bytes > waitingBytes * shareOfOne || bytes > waitingBytes;
  /** Writes the first of what waits; until that is done, it goes on waiting. */
  const write = async () => {
    const some = firstOf([...turns]);
    const count = some.reduce((sum, batch) => sum + batch.items.length, 0);
    const done = () => {
      for (const batch of some) {
        const line = lineOf(batch.agentId);
        line.waiting.shift();
        line.bytes -= batch.bytes;
        bytes -= batch.bytes;
        turns.delete(line);
        if (line.waiting.length > 0) turns.add(line);
        batch.received();
      }
      room.resolve();
      room = Promise.withResolvers();
    };
    try {
      const kept = await recordTelemetry(db, some);
      const total = [...kept.values()].reduce((sum, one) => sum + one, 0);
      items.inc({ result: 'kept' }, total);
      items.inc({ result: 'not_served' }, count - total);
      done();
      for (const stackId of kept.keys()) feed.notifyTelemetry(stackId);
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
      if (turns.size === 0) await pause(60_000, closing.signal, news.promise);
      await pause(failures > 0 ? Math.min(100 * 2 ** failures, longestRetryMs) : gatherMs, closing.signal);
      news = Promise.withResolvers();
      if (closing.signal.aborted || turns.size === 0) continue;
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
    async take(batch, received) {
      const line = lineOf(batch.agentId);
      if (line.over && Date.now() >= line.meter.endsAt()) mark(line);
      if (!line.over && line.meter.admit(batch.items.length, Date.now())) push(line, batch, received);
      else leaveOut(line, batch, received);
      while (isFull(line) && !closing.signal.aborted) await room.promise;
    },
    async close() {
      closing.abort();
      room.resolve();
      for (const { over } of lines.values()) clearTimeout(over?.timer);
      await running;
    },
  };
}

function isLater(batch: Batch, than: Batch): boolean {
  return batch.incarnation === than.incarnation ? batch.sequence > than.sequence : batch.incarnation > than.incarnation;
}

/** As much as is written at once: one batch of each line, then the next of each. */
function firstOf(lines: readonly Line[]): Waiting[] {
  const some: Waiting[] = [];
  let count = 0;
  let bytes = 0;
  for (let at = 0; ; at += 1) {
    const round = lines.flatMap(({ waiting }) => waiting[at] ?? []);
    if (round.length === 0) return some;
    for (const batch of round) {
      count += batch.items.length;
      bytes += batch.bytes;
      if (some.length > 0 && (count > writtenItems || bytes > writtenBytes)) return some;
      some.push(batch);
    }
  }
}
