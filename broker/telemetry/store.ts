import { isStackVisible } from '../stack/store.ts';
import type { Cipher } from '../store/cipher.ts';
import type { Database, Sql } from '../store/orm.ts';
import type { Filter, GapName, Stream, Told } from './rules.ts';

/** What one agent told at once. */
export interface Batch {
  readonly agentId: string;
  readonly incarnation: bigint;
  readonly sequence: bigint;
  readonly items: readonly Told[];
}

/**
 * Keeps what agents told, each batch once, however often it is sent; of it, what is about stacks that the agent serves or removes.
 * Returns how many items of each stack were kept.
 */
export function recordTelemetry(db: Database, batches: readonly Batch[]): Promise<Map<string, number>> {
  return db.transactPrepared(async (tx) => {
    const agentIds = [...new Set(batches.map(({ agentId }) => agentId))].sort();
    const known = await lockAgents(tx, agentIds);
    const fresh = batches.filter(({ agentId, incarnation, sequence }) => {
      const last = known.get(agentId)!;
      return incarnation > last.incarnation || (incarnation === last.incarnation && sequence > last.sequence);
    });
    if (fresh.length === 0) return new Map();
    const rows = fresh.flatMap((batch) => batch.items.map((item) => toRow(tx.cipher, batch, item)));
    const kept = await tx.sql<{ stack_id: string; kept: number }>(insertSql, [JSON.stringify(rows)]);
    await tx.sql(markSql, [
      fresh.map(({ agentId }) => agentId),
      fresh.map(({ incarnation }) => incarnation),
      fresh.map(({ sequence }) => sequence),
    ]);
    return new Map(kept.map((row) => [row.stack_id, row.kept]));
  });
}

/** Locks what is known of each agent, in one order, so that a session that moved to another broker is not told twice. */
async function lockAgents(
  tx: Sql,
  agentIds: readonly string[],
): Promise<Map<string, { incarnation: bigint; sequence: bigint }>> {
  const rows = await tx.sql<{ agent_id: string; incarnation: string; sequence: string }>(
    `insert into telemetry_agent (agent_id) select unnest($1::uuid[])
     on conflict (agent_id) do update set agent_id = excluded.agent_id returning agent_id, incarnation, sequence`,
    [agentIds],
  );
  return new Map(
    rows.map((row) => [row.agent_id, { incarnation: BigInt(row.incarnation), sequence: BigInt(row.sequence) }]),
  );
}

const insertSql = `
  with kept as (
    insert into telemetry (agent_id, stack_id, stream, gap, count, api_version, kind, namespace, name, container, type, reason,
      source, text, key_id, sealed, truncated, first_at, at)
    select e.agent_id, e.stack_id, e.stream, e.gap, e.count, e.api_version, e.kind, e.namespace, e.name, e.container, e.type, e.reason,
      e.source, e.text, e.key_id, decode(e.sealed, 'base64'), e.truncated, e.first_at, e.at
    from rows from (jsonb_to_recordset($1::jsonb) as (agent_id uuid, incarnation bigint, stack_id uuid, stream text, gap text,
      count bigint, api_version text, kind text, namespace text, name text, container text, type text, reason text, source text,
      text text, key_id text, sealed text, truncated boolean, first_at timestamptz, at timestamptz)) with ordinality as e
    join placement p on p.agent_id = e.agent_id and p.stack_id = e.stack_id
    join agent_status st on st.agent_id = e.agent_id and st.incarnation = e.incarnation
    order by e.ordinality
    returning stack_id
  )
  select stack_id, count(*)::int as kept from kept group by stack_id`;

const markSql = `
  update telemetry_agent m set incarnation = e.incarnation, sequence = e.sequence
  from (
    select distinct on (agent_id) agent_id, incarnation, sequence
    from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as e(agent_id, incarnation, sequence)
    order by agent_id, incarnation desc, sequence desc) e
  where m.agent_id = e.agent_id`;

function toRow(cipher: Cipher, { agentId, incarnation }: Batch, item: Told) {
  // Without a key, and for a mark, which says nothing, there is nothing to encrypt.
  const sealed =
    cipher.keyId === '' || item.text === '' ? undefined : cipher.seal(sealName(item.stackId), Buffer.from(item.text));
  return {
    agent_id: agentId,
    incarnation: String(incarnation),
    stack_id: item.stackId,
    stream: item.stream,
    gap: item.gap,
    count: String(item.count),
    api_version: item.apiVersion,
    kind: item.kind,
    namespace: item.namespace,
    name: item.name,
    container: item.container,
    type: item.type,
    reason: item.reason,
    source: item.source,
    text: sealed ? '' : item.text,
    key_id: sealed?.keyId ?? '',
    sealed: sealed?.data.toString('base64') ?? null,
    truncated: item.truncated,
    first_at: item.firstAt,
    at: item.at,
  };
}

/** A line of one stack cannot be read as one of another. */
function sealName(stackId: string): Buffer {
  return Buffer.from(stackId);
}

/** As the database has it: `sealed`, unless it is null, in place of the text. */
type StoredRow = TelemetryRow & { readonly key_id: string; readonly sealed: Buffer | null };

/** The row with its text; of one whose key is no longer known, that it is so. */
function opened(cipher: Cipher, { key_id: keyId, sealed, ...row }: StoredRow): TelemetryRow {
  if (sealed === null) return row;
  if (!cipher.keyIds.includes(keyId)) return { ...row, text: '<encrypted with a key that is not used any more>' };
  return { ...row, text: cipher.open(sealName(row.stack_id), { keyId, data: sealed }).toString() };
}

export interface TelemetryRow {
  readonly id: string;
  readonly xid: string;
  readonly received_at: Date;
  readonly agent_id: string;
  /** Null when the agent is gone. */
  readonly agent: string | null;
  readonly stack_id: string;
  readonly stream: Stream;
  readonly gap: GapName | null;
  readonly count: string;
  readonly api_version: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
  readonly type: string;
  readonly reason: string;
  readonly source: string;
  readonly text: string;
  readonly truncated: boolean;
  readonly first_at: Date | null;
  readonly at: Date | null;
}

/** What of a stack a reader wants to see: $1 to $8. A gap that is about no object in particular concerns everybody. */
const chosen = `t.stack_id = $1 and t.stream = any($2) and ($3::uuid is null or t.agent_id = $3)
  and (t.gap is not null and t.name = ''
    or ($4 = '' or t.kind = $4) and ($5 = '' or t.namespace = $5) and ($6 = '' or t.name = $6)
      and ($7 = '' or t.container = $7) and ($8 = '' or t.type = $8))`;

function chosenBy(filter: Filter) {
  const { stackId, streams, agentId, kind, namespace, name, container, type } = filter;
  return [stackId, streams, agentId ?? null, kind, namespace, name, container, type];
}

/** What is kept of a stack, in the order in which it came or from the newest on; at most `limit`. */
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
    `select t.*, a.name as agent
     from (select t.* from telemetry t
       where ${chosen} and t.received_at > now() - make_interval(secs => $9::float8) and ($10::timestamptz is null or t.received_at >= $10)
         and ($11::text is null or (t.xid, t.id) ${beyond} ($11::xid8, $12::bigint))
       order by ${order} limit $13) t
     left join agent a on a.id = t.agent_id order by ${order}`,
    [
      ...chosenBy(filter),
      page.keepMs / 1_000,
      filter.startAt ?? null,
      page.after?.[0] ?? null,
      page.after?.[1] ?? null,
      page.limit,
    ],
  );
  return rows.map((row) => opened(db.cipher, row));
}

export interface News {
  /** Where the next look goes on. */
  readonly snapshot: string;
  /** In the order in which they came. */
  readonly rows: readonly TelemetryRow[];
  /** How many there were besides, that came before these. */
  readonly left: number;
  /** Whether anything may come yet. */
  readonly stackThere: boolean;
}

/** What is committed after a statement may have begun that long before. */
export const liveMs = 120_000;

/** What has come of a stack since the look that had this snapshot, whatever the order of commits: the last `limit` of it. */
export async function telemetrySince(db: Sql, filter: Filter, before: string, limit: number): Promise<News> {
  const rows = await db.sql<StoredRow & { snapshot: string; there: boolean; total: number }>(
    `select pg_current_snapshot()::text as snapshot,
       exists (select from stack s where s.id = $1 and ${isStackVisible}) as there, t.*, a.name as agent
     from (select $9::pg_snapshot as before) b
     left join lateral (
       select t.*, count(*) over ()::int as total from telemetry t
       where ${chosen} and t.received_at > now() - make_interval(secs => $10::float8)
         and t.xid >= pg_snapshot_xmin(b.before) and not pg_visible_in_snapshot(t.xid, b.before)
       order by t.xid desc, t.id desc limit $11) t on true
     left join agent a on a.id = t.agent_id order by t.xid, t.id`,
    [...chosenBy(filter), before, liveMs / 1_000, limit],
  );
  const [first] = rows;
  const found = rows.filter(({ id }) => id !== null);
  return {
    snapshot: first!.snapshot,
    rows: found.map((row) => opened(db.cipher, row)),
    left: Math.max(0, (first!.total ?? 0) - found.length),
    stackThere: first!.there,
  };
}

/** Where looks for what is new begin. */
export async function readSnapshot(db: Sql): Promise<string> {
  const [row] = await db.sql<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot');
  return row!.snapshot;
}
