import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Database, Tx } from './orm.ts';

export type ChangeKind = 'stack' | 'agent' | 'key' | 'epoch';
export interface Change {
  readonly kind: ChangeKind;
  /** Id of a stack, an agent or a key; for an epoch, any. */
  readonly ref: string;
}

export interface FeedListener {
  /** Committed changes, each at least once, in no particular order. */
  changed(changes: readonly Change[]): void;
  /** Changes may have been missed: drop everything that was remembered. */
  reset(): void;
  /** Agents reported about these stacks; "*" for many. A hint that may be lost. */
  reported?(stackIds: readonly string[] | '*'): void;
}

export interface Feed {
  subscribe(listener: FeedListener): () => void;
  /** Whether what was remembered can be trusted: the last read succeeded under 3 s ago. */
  healthy(): boolean;
  /** Whether the database answered within the last 5 s. */
  available(): boolean;
  /** Tells the watchers on all brokers, at most once in 200 ms, that agents reported about a stack. */
  report(stackId: string): void;
  close(): Promise<void>;
}

const readEveryMs = 1_000;
const healthyForMs = 3_000;
const availableForMs = 5_000;
const reportEveryMs = 200;
/** Below the retention of `change` rows (1 h): a cursor older than this may have lost some. */
const cursorLifeMs = 50 * 60_000;
/** A NOTIFY payload ends at 8,000 bytes. */
const reportsInOneNotify = 200;

/** Records, in the transaction that makes them, changes that brokers must not miss, and wakes every broker at its commit. */
export async function announce(tx: Tx, kind: ChangeKind, refs: readonly string[]): Promise<void> {
  if (refs.length === 0) return;
  await tx.sql('insert into change (kind, ref) select $1, unnest($2::uuid[])', [kind, refs]);
  await tx.sql(`select pg_notify('brokkr_change_' || current_schema(), '')`);
}

/**
 * Follows the change feed on a connection of its own, until it is closed. Each read starts at the oldest transaction that was
 * still running at the read before, so neither the order of commits nor a lost NOTIFY hides a change.
 * `onReconnect` runs on every new connection before the first read (to notice a restored database).
 */
export async function startFeed(db: Database, log: Logger, onReconnect: () => Promise<void>): Promise<Feed> {
  const listeners = new Set<FeedListener>();
  const closing = new AbortController();
  let client: pg.Client | undefined;
  let cursor: string | undefined;
  let lastReadAt = 0;
  let seen = new Set<string>();
  let wake = Promise.withResolvers<void>();
  const reports = new Set<string>();
  let reportTimer: NodeJS.Timeout | undefined;

  const connect = async () => {
    const fresh = await db.connect();
    fresh.on('notification', (message) => {
      if (message.channel === `brokkr_change_${db.schema}`) wake.resolve();
      else deliverReport(listeners, message.payload ?? '');
    });
    fresh.on('end', () => wake.resolve());
    try {
      await fresh.query(`listen brokkr_change_${db.schema}`);
      await fresh.query(`listen brokkr_report_${db.schema}`);
      await onReconnect();
    } catch (error) {
      await fresh.end().catch(() => {});
      throw error;
    }
    return fresh;
  };

  const read = async () => {
    client ??= await connect();
    const stale = cursor === undefined || Date.now() - lastReadAt > cursorLifeMs;
    // One statement, so one snapshot: the rows and the xmin that says where the next read begins.
    const result = await within(
      client.query<{ xmin: string; id: string | null; kind: ChangeKind; ref: string }>(
        `select pg_snapshot_xmin(pg_current_snapshot())::text as xmin, c.id, c.kind, c.ref
         from (select 1) as one left join change c on not $2 and c.xid >= $1::xid8`,
        [cursor ?? '0', stale],
      ),
      2_000,
    );
    cursor = result.rows[0]?.xmin ?? cursor;
    lastReadAt = Date.now();
    if (stale) {
      seen = new Set();
      for (const listener of listeners) listener.reset();
      return;
    }
    const rows = result.rows.filter((row) => row.id !== null);
    const fresh = rows.filter((row) => !seen.has(row.id as string));
    seen = new Set(rows.map((row) => row.id as string));
    if (fresh.length > 0) for (const listener of listeners) listener.changed(fresh);
  };

  const run = async () => {
    let failures = 0;
    while (!closing.signal.aborted) {
      const timer = sleep(failures > 0 ? Math.min(100 * 2 ** failures, 2_000) : readEveryMs, undefined, {
        signal: closing.signal,
      }).catch(() => {});
      await (failures > 0 ? timer : Promise.race([wake.promise, timer]));
      if (closing.signal.aborted) break;
      wake = Promise.withResolvers<void>();
      try {
        await read();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (failures === 1) log.warn({ err: String(error) }, 'change feed lost its connection');
        client?.end().catch(() => {});
        client = undefined;
      }
    }
  };

  await read();
  const running = run();
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    healthy: () => Date.now() - lastReadAt < healthyForMs,
    available: () => Date.now() - lastReadAt < availableForMs,
    report(stackId) {
      reports.add(stackId);
      reportTimer ??= setTimeout(() => {
        reportTimer = undefined;
        const payload = reports.size > reportsInOneNotify ? '*' : [...reports].join(',');
        reports.clear();
        db.read('feed-report', 'select pg_notify($1, $2)', [`brokkr_report_${db.schema}`, payload]).catch(() => {});
      }, reportEveryMs);
    },
    async close() {
      closing.abort();
      clearTimeout(reportTimer);
      wake.resolve();
      await running;
      await client?.end().catch(() => {});
    },
  };
}

function deliverReport(listeners: ReadonlySet<FeedListener>, payload: string): void {
  const stacks = payload === '*' ? '*' : payload.split(',');
  for (const listener of listeners) listener.reported?.(stacks);
}

/** A half-open connection never answers: a read that takes longer counts as failed, and the connection is given up. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      work,
      sleep(ms, undefined, { signal: timer.signal }).then(() => {
        throw new Error(`no answer within ${ms} ms`);
      }),
    ]);
  } finally {
    timer.abort();
    work.catch(() => {});
  }
}
