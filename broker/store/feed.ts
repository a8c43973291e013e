import type pg from 'pg';
import type { Logger } from 'pino';
import {
  type Change,
  type ChangeKind,
  type ChangeReader,
  connectListening,
  createChangeReader,
} from './change-reader.ts';
import type { Database, Transaction } from './database.ts';
import { createReportBatcher, parseReport } from './report-batcher.ts';
import { createWakeup, pause, type Wakeup } from './wait.ts';

export interface FeedListener {
  /** Receives committed changes, each once, in no particular order. */
  changed(changes: readonly Change[]): void;
  /** Changes may have been missed: everything cached is to be dropped. */
  reset(): void;
  /** Agents reported about these stacks; "*" stands for many. The notification may be lost. */
  reported?(stackIds: readonly string[] | '*'): void;
  /** Telemetry of these stacks was recorded; "*" stands for many. The notification may be lost. */
  telemetryRecorded?(stackIds: readonly string[] | '*'): void;
}

/** Follows the changes that brokers make, through the database. */
export interface Feed {
  subscribe(listener: FeedListener): () => void;
  /** Answers whether caches can be trusted: the last read succeeded less than 3 s ago. */
  healthy(): boolean;
  /** Answers whether the database answered within the last 5 s. */
  available(): boolean;
  /** Milliseconds since the last successful read. */
  ageMs(): number;
  /** Number of times that the connection was lost. */
  losses(): number;
  /** Notifies the listeners of all brokers, at most once in 200 ms, that agents reported about a stack. */
  notifyReport(stackId: string): void;
  /** Notifies the listeners of all brokers, at most once in 200 ms, that telemetry of a stack was recorded. */
  notifyTelemetry(stackId: string): void;
  close(): Promise<void>;
}

/** Longest time between two reads: a NOTIFY may be lost. */
const readEveryMs = 1_000;
/** Shortest time between two reads, so that changes which come in a burst share a read. */
const minIntervalMs = 5;
const maxBackoffMs = 2_000;
const healthyForMs = 3_000;
const availableForMs = 5_000;

/** Records, in the transaction that makes them, changes that no broker may miss. Once it has committed, every broker is woken. */
export async function announce(tx: Transaction, kind: ChangeKind, refs: readonly string[]): Promise<void> {
  if (refs.length === 0) return;
  await tx.sql('insert into change (kind, ref) select $1, unnest($2::uuid[])', [kind, refs]);
  tx.wakeOnCommit();
}

/**
 * Follows the change feed on a connection of its own until it is closed. `onReconnect` runs on every new connection before the first
 * read, to notice a restored database; it is told whether the database was read-only before. Rejects when the first read fails.
 */
export async function startFeed(
  db: Database,
  log: Logger,
  onReconnect: (client: pg.Client, wasReadOnly: boolean) => Promise<void>,
): Promise<Feed> {
  const listeners = new Set<FeedListener>();
  const closing = new AbortController();
  const channels = channelsOf(db.schema);
  const wakeup = createWakeup();
  const emit = (notify: (listener: FeedListener) => void) => notifyAll(listeners, notify, log);
  const onMessage = (channel: string, payload: string) => {
    if (channel === channels.change) wakeup.wake();
    else if (channel === channels.report) emit((listener) => listener.reported?.(parseReport(payload)));
    else emit((listener) => listener.telemetryRecorded?.(parseReport(payload)));
  };
  const reader = createChangeReader((wasReadOnly) =>
    connectListening(db, Object.values(channels), { message: onMessage, ended: wakeup.wake }, (client) =>
      onReconnect(client, wasReadOnly),
    ),
  );
  const read = async () => {
    const changes = await reader.read();
    if (!changes) emit((listener) => listener.reset());
    else if (changes.length > 0) emit((listener) => listener.changed(changes));
  };

  await read();
  const loop = runLoop({ read, reader, wakeup, log, closing: closing.signal });
  const reports = createReportBatcher(db, channels.report);
  const telemetry = createReportBatcher(db, channels.telemetry);
  const ageMs = () => performance.now() - reader.lastReadAt();
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    healthy: () => ageMs() < healthyForMs,
    available: () => ageMs() < availableForMs,
    ageMs,
    losses: loop.losses,
    notifyReport: reports.add,
    notifyTelemetry: telemetry.add,
    async close() {
      closing.abort();
      reports.close();
      telemetry.close();
      await loop.ended;
      await reader.close();
    },
  };
}

function channelsOf(schema: string) {
  return {
    change: `brokkr_change_${schema}`,
    report: `brokkr_report_${schema}`,
    telemetry: `brokkr_telemetry_${schema}`,
  };
}

interface Loop {
  readonly read: () => Promise<void>;
  readonly reader: ChangeReader;
  readonly wakeup: Wakeup;
  readonly log: Logger;
  readonly closing: AbortSignal;
}

/** Reads after each wake-up, at least once a second and, after failures, with a growing pause, until `closing` aborts. */
function runLoop({ read, reader, wakeup, log, closing }: Loop): { losses(): number; readonly ended: Promise<void> } {
  let losses = 0;
  const run = async () => {
    let failures = 0;
    while (!closing.aborted) {
      await pause(failures > 0 ? Math.min(100 * 2 ** failures, maxBackoffMs) : minIntervalMs, closing);
      if (failures === 0) await pause(readEveryMs, closing, wakeup.woken());
      if (closing.aborted) break;
      wakeup.reset();
      try {
        await read();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (failures === 1) {
          losses += 1;
          log.warn({ err: String(error) }, 'change feed lost its connection');
        }
        reader.disconnect();
      }
    }
  };
  return { losses: () => losses, ended: run() };
}

function notifyAll(listeners: Iterable<FeedListener>, notify: (listener: FeedListener) => void, log: Logger): void {
  for (const listener of listeners) {
    try {
      notify(listener);
    } catch (error) {
      log.error({ err: String(error) }, 'a listener of the change feed failed');
    }
  }
}
