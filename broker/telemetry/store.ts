import { isStackVisible } from '../stack/store.ts';
import type { Cipher } from '../store/cipher.ts';
import type { Sql } from '../store/database.ts';
import type { Filter, GapName, Stream } from './rules.ts';

export interface TelemetryRow {
  readonly id: string;
  readonly xid: string;
  readonly receivedAt: Date;
  readonly agentId: string;
  /** Name of the agent; null when it is gone. */
  readonly agent: string | null;
  readonly stackId: string;
  readonly stream: Stream;
  readonly gap: GapName | null;
  readonly count: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
  readonly type: string;
  readonly reason: string;
  readonly source: string;
  readonly text: string;
  readonly truncated: boolean;
  readonly firstAt: Date | null;
  readonly at: Date | null;
}

/** A row as it is stored: unless `sealed` is null, it stands for the text. */
type StoredRow = TelemetryRow & { readonly keyId: string; readonly sealed: Buffer | null };

const columns = `t.id, t.xid, t.received_at as "receivedAt", t.agent_id as "agentId", a.name as agent, t.stack_id as "stackId",
  t.stream, t.gap, t.count, t.api_version as "apiVersion", t.kind, t.namespace, t.name, t.container, t.type, t.reason, t.source, t.text,
  t.truncated, t.first_at as "firstAt", t.at, t.key_id as "keyId", t.sealed`;

/** Returns the name that the text of a stack's item is encrypted under, so that it cannot be read as that of another stack. */
export function sealName(stackId: string): Buffer {
  return Buffer.from(stackId);
}

/** Decrypts the text of a row; a placeholder stands for one whose key is not configured any more. */
function openRow(cipher: Cipher, { keyId, sealed, ...row }: StoredRow): TelemetryRow {
  if (sealed === null) return row;
  if (!cipher.keyIds.includes(keyId)) return { ...row, text: '<encrypted with a key that is not used any more>' };
  return { ...row, text: cipher.open(sealName(row.stackId), { keyId, data: sealed }).toString() };
}

/** Selects the rows of a filter, with the parameters $1 to $8. Every reader gets the gaps that concern no particular object. */
const filterSql = `t.stack_id = $1 and t.stream = any($2) and ($3::uuid is null or t.agent_id = $3)
  and (t.gap is not null and t.name = ''
    or ($4 = '' or t.kind = $4) and ($5 = '' or t.namespace = $5) and ($6 = '' or t.name = $6)
      and ($7 = '' or t.container = $7) and ($8 = '' or t.type = $8))`;

function filterParams(filter: Filter) {
  const { stackId, streams, agentId, kind, namespace, name, container, type } = filter;
  return [stackId, streams, agentId ?? null, kind, namespace, name, container, type];
}

/** Lists the telemetry of a stack, from the oldest or from the newest on; at most `limit` rows of the last `keepMs`. */
export async function listTelemetry(
  db: Sql,
  filter: Filter,
  page: {
    readonly keepMs: number;
    readonly oldestFirst: boolean;
    readonly after: readonly string[] | undefined;
    readonly limit: number;
  },
): Promise<TelemetryRow[]> {
  const [direction, beyond] = page.oldestFirst ? (['asc', '>'] as const) : (['desc', '<'] as const);
  const order = `t.xid ${direction}, t.id ${direction}`;
  const rows = await db.sql<StoredRow>(
    `select ${columns}
     from (select t.* from telemetry t
       where ${filterSql} and t.received_at > now() - make_interval(secs => $9::float8) and ($10::timestamptz is null or t.received_at >= $10)
         and ($11::text is null or (t.xid, t.id) ${beyond} ($11::xid8, $12::bigint))
       order by ${order} limit $13) t
     left join agent a on a.id = t.agent_id order by ${order}`,
    [
      ...filterParams(filter),
      page.keepMs / 1_000,
      filter.startAt ?? null,
      page.after?.[0] ?? null,
      page.after?.[1] ?? null,
      page.limit,
    ],
  );
  return rows.map((row) => openRow(db.cipher, row));
}

export interface NewTelemetry {
  /** Passed to the next read. */
  readonly snapshot: string;
  /** In the order in which they were recorded. */
  readonly rows: readonly TelemetryRow[];
  /** Number of rows that were recorded before these and are left out. */
  readonly omitted: number;
  /** False when the stack is deleted, so that nothing more will be recorded. */
  readonly stackExists: boolean;
}

/** Reads see only what was received in this time; a transaction that commits may have begun that long ago. */
export const liveMs = 120_000;

/** Reads what was recorded of a stack since the read that had this snapshot, whatever the order of commits; the last `limit` rows. */
export async function telemetrySince(db: Sql, filter: Filter, snapshot: string, limit: number): Promise<NewTelemetry> {
  const rows = await db.sql<StoredRow & { snapshot: string; stackExists: boolean; total: number }>(
    `select pg_current_snapshot()::text as snapshot,
       exists (select from stack s where s.id = $1 and ${isStackVisible}) as "stackExists", t.total, ${columns}
     from (select $9::pg_snapshot as before) b
     left join lateral (
       select t.*, count(*) over ()::int as total from telemetry t
       where ${filterSql} and t.received_at > now() - make_interval(secs => $10::float8)
         and t.xid >= pg_snapshot_xmin(b.before) and not pg_visible_in_snapshot(t.xid, b.before)
       order by t.xid desc, t.id desc limit $11) t on true
     left join agent a on a.id = t.agent_id order by t.xid, t.id`,
    [...filterParams(filter), snapshot, liveMs / 1_000, limit],
  );
  const [first] = rows;
  const found = rows.filter(({ id }) => id !== null);
  return {
    snapshot: first!.snapshot,
    rows: found.map((row) => openRow(db.cipher, row)),
    omitted: Math.max(0, (first!.total ?? 0) - found.length),
    stackExists: first!.stackExists,
  };
}

/** Reads the snapshot from which `telemetrySince` goes on. */
export async function readSnapshot(db: Sql): Promise<string> {
  const [row] = await db.sql<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot');
  return row!.snapshot;
}
