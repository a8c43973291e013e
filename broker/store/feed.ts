import type pg from 'pg';
import type { Logger } from 'pino';
import type { Database, Tx } from './orm.ts';
import { pause, within } from './wait.ts';

export type ChangeKind = 'stack' | 'agent' | 'key' | 'epoch' | 'diagnostic';
export interface Change {
  readonly kind: ChangeKind;
  /**
   * Id of a stack, an agent or a key; for an epoch, any. For a diagnostic: of the agent that is asked, or of the diagnostic that is
   * answered.
   */
  readonly ref: string;
}

export interface FeedListener {
  /** Committed changes, each once, in no particular order. */
  changed(changes: readonly Change[]): void;
  /** Changes may have been missed: drop everything that was remembered. */
  reset(): void;
  /** Agents reported about these stacks; "*" for many. A hint that may be lost. */
  reported?(stackIds: readonly string[] | '*'): void;
  /** Clusters told telemetry about these stacks; as `reported`. */
  telemetered?(stackIds: readonly string[] | '*'): void;
}

export interface Feed {
  subscribe(listener: FeedListener): () => void;
  /** Whether what was remembered can be trusted: the last read succeeded under 3 s ago. */
  healthy(): boolean;
  /** Whether the database answered within the last 5 s. */
  available(): boolean;
  /** Since the last read that succeeded. */
  ageMs(): number;
  /** How often the connection was lost. */
  losses(): number;
  /** Tells the watchers on all brokers, at most once in 200 ms, that agents reported about a stack. */
  report(stackId: string): void;
  /** The same, that there is telemetry about it. */
  reportTelemetry(stackId: string): void;
  close(): Promise<void>;
}

const readEveryMs = 1_000;
const healthyForMs = 3_000;
const availableForMs = 5_000;
const reportEveryMs = 200;
const reportAfterMs = 10;
/** Below the retention of `change` rows (1 h): what an older snapshot did not see may be deleted by now. */
const snapshotLifeMs = 50 * 60_000;
/** The shortest time between two reads. */
const restMs = 5;
/** A half-open connection never answers. */
const readWithinMs = 2_000;
const connectWithinMs = 15_000;
/** A NOTIFY payload ends at 8,000 bytes. */
const reportsInOneNotify = 200;

/** Records, in the transaction that makes them, changes that brokers must not miss, and wakes every broker at its commit. */
export async function announce(tx: Tx, kind: ChangeKind, refs: readonly string[]): Promise<void> {
  if (refs.length === 0) return;
  await tx.sql('insert into change (kind, ref) select $1, unnest($2::uuid[])', [kind, refs]);
  await tx.sql(`select pg_notify('brokkr_change_' || current_schema(), '')`);
}

/**
 * Follows the change feed on a connection of its own, until it is closed. Each read takes the changes that the snapshot of the read
 * before could not see, so neither the order of commits nor a lost NOTIFY hides a change, and each is read once.
 * `onReconnect` runs on every new connection before the first read (to notice a restored database).
 */
export async function startFeed(
  db: Database,
  log: Logger,
  onReconnect: (client: pg.Client) => Promise<void>,
): Promise<Feed> {
  const listeners = new Set<FeedListener>();
  const closing = new AbortController();
  let client: pg.Client | undefined;
  /** Of the last read on this connection: another one may lead to another database, whose transactions count anew. */
  let snapshot: string | undefined;
  let lastReadAt = Number.NEGATIVE_INFINITY;
  let wake = Promise.withResolvers<void>();
  let losses = 0;

  const connect = async () => {
    const fresh = await db.connect();
    fresh.on('notification', (message) => {
      const payload = message.payload ?? '';
      if (message.channel === `brokkr_change_${db.schema}`) wake.resolve();
      else if (message.channel === `brokkr_report_${db.schema}`) deliver(listeners, 'reported', payload);
      else deliver(listeners, 'telemetered', payload);
    });
    fresh.on('end', () => wake.resolve());
    try {
      await fresh.query(`listen brokkr_change_${db.schema}`);
      await fresh.query(`listen brokkr_report_${db.schema}`);
      await fresh.query(`listen brokkr_telemetry_${db.schema}`);
      await onReconnect(fresh);
    } catch (error) {
      void fresh.end().catch(() => {});
      throw error;
    }
    return fresh;
  };

  const read = async () => {
    if (!client) {
      snapshot = undefined;
      const connecting = connect();
      client = await within(connecting, connectWithinMs).catch((error: unknown) => {
        connecting.then((late) => late.end()).catch(() => {});
        throw error;
      });
    }
    const known = performance.now() - lastReadAt < snapshotLifeMs ? snapshot : undefined;
    // One statement, so one snapshot: the rows and the snapshot that says where the next read begins.
    const { rows } = await within(
      client.query<{ snapshot: string; kind: ChangeKind | null; ref: string }>(readSql, [known ?? null]),
      readWithinMs,
    );
    snapshot = rows[0]?.snapshot;
    lastReadAt = performance.now();
    if (known === undefined) return tell(listeners, (listener) => listener.reset());
    const changes = rows.filter((row): row is Change & { snapshot: string } => row.kind !== null);
    if (changes.length > 0) tell(listeners, (listener) => listener.changed(changes));
  };

  const tell = (to: Iterable<FeedListener>, what: (listener: FeedListener) => void) => {
    for (const listener of to) {
      try {
        what(listener);
      } catch (error) {
        log.error({ err: String(error) }, 'a follower of the change feed failed');
      }
    }
  };

  const run = async () => {
    let failures = 0;
    while (!closing.signal.aborted) {
      // Changes that come in a burst share a read.
      await pause(failures > 0 ? Math.min(100 * 2 ** failures, 2_000) : restMs, closing.signal);
      if (failures === 0) await pause(readEveryMs, closing.signal, wake.promise);
      if (closing.signal.aborted) break;
      wake = Promise.withResolvers<void>();
      try {
        await read();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (failures === 1) {
          losses += 1;
          log.warn({ err: String(error) }, 'change feed lost its connection');
        }
        void client?.end().catch(() => {});
        client = undefined;
      }
    }
  };

  await read();
  const running = run();
  const reports = createReports(db, `brokkr_report_${db.schema}`);
  const telemetry = createReports(db, `brokkr_telemetry_${db.schema}`);
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    healthy: () => performance.now() - lastReadAt < healthyForMs,
    available: () => performance.now() - lastReadAt < availableForMs,
    ageMs: () => performance.now() - lastReadAt,
    losses: () => losses,
    report: reports.add,
    reportTelemetry: telemetry.add,
    async close() {
      closing.abort();
      reports.close();
      telemetry.close();
      await running;
      // A database that is frozen never says goodbye.
      if (client) await Promise.race([client.end().catch(() => {}), pause(1_000)]);
    },
  };
}

/** Without a snapshot there are no rows to read: everything that is remembered is dropped. */
const readSql = `
  select pg_current_snapshot()::text as snapshot, c.kind, c.ref
  from (select $1::pg_snapshot as before) as last
  left join change c on c.xid >= pg_snapshot_xmin($1::pg_snapshot) and not pg_visible_in_snapshot(c.xid, $1::pg_snapshot)`;

/** Collects the stacks that agents reported about, and tells all brokers in one message. */
function createReports(db: Database, channel: string): { add(stackId: string): void; close(): void } {
  const stacks = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let sentAt = 0;
  const send = () => {
    timer = undefined;
    sentAt = Date.now();
    const payload = stacks.size > reportsInOneNotify ? '*' : [...stacks].join(',');
    stacks.clear();
    db.read('feed-report', 'select pg_notify($1, $2)', [channel, payload]).catch(() => {});
  };
  return {
    add(stackId) {
      if (stacks.size <= reportsInOneNotify) stacks.add(stackId);
      // The first one after a pause is told almost at once: somebody may be waiting for just that one.
      timer ??= setTimeout(send, Math.max(reportAfterMs, sentAt + reportEveryMs - Date.now()));
    },
    close: () => clearTimeout(timer),
  };
}

function deliver(listeners: ReadonlySet<FeedListener>, what: 'reported' | 'telemetered', payload: string): void {
  const stacks = payload === '*' ? '*' : payload.split(',');
  for (const listener of listeners) listener[what]?.(stacks);
}
