import type { Cipher } from '../store/cipher.ts';
import type { Database, Sql } from '../store/database.ts';
import { type Batch, isLater, type TelemetryItem } from './rules.ts';
import { sealName } from './store.ts';

/**
 * Records batches, each once, however often it is sent, and of their items those about stacks that the agent serves or removes. Returns
 * how many items of each stack were recorded.
 */
export function recordTelemetry(db: Database, batches: readonly Batch[]): Promise<Map<string, number>> {
  return db.transactPrepared(async (tx) => {
    const agentIds = [...new Set(batches.map(({ agentId }) => agentId))].sort();
    const lastBatches = await lockAgents(tx, agentIds);
    const fresh = batches.filter((batch) => isLater(batch, lastBatches.get(batch.agentId)!));
    if (fresh.length === 0) return new Map();
    const rows = fresh.flatMap((batch) => batch.items.map((item) => toRow(tx.cipher, batch, item)));
    const recorded = await tx.sql<{ stackId: string; items: number }>(insertSql, [JSON.stringify(rows)]);
    await tx.sql(progressSql, [
      fresh.map(({ agentId }) => agentId),
      fresh.map(({ incarnation }) => incarnation),
      fresh.map(({ sequence }) => sequence),
    ]);
    return new Map(recorded.map(({ stackId, items }) => [stackId, items]));
  });
}

/** Locks agents, always in the same order, and returns the last batch of each: a session may have moved here from another broker. */
async function lockAgents(tx: Sql, agentIds: readonly string[]): Promise<Map<string, Omit<Batch, 'items'>>> {
  const rows = await tx.sql<{ agentId: string; incarnation: string; sequence: string }>(
    `insert into telemetry_agent (agent_id) select unnest($1::uuid[])
     on conflict (agent_id) do update set agent_id = excluded.agent_id returning agent_id as "agentId", incarnation, sequence`,
    [agentIds],
  );
  return new Map(
    rows.map(({ agentId, incarnation, sequence }) => [
      agentId,
      { agentId, incarnation: BigInt(incarnation), sequence: BigInt(sequence) },
    ]),
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
  select stack_id as "stackId", count(*)::int as items from kept group by stack_id`;

const progressSql = `
  update telemetry_agent m set incarnation = e.incarnation, sequence = e.sequence
  from (
    select distinct on (agent_id) agent_id, incarnation, sequence
    from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as e(agent_id, incarnation, sequence)
    order by agent_id, incarnation desc, sequence desc) e
  where m.agent_id = e.agent_id`;

/** Maps an item to the columns of its row, for `jsonb_to_recordset`. Without a key, or without a text, nothing is encrypted. */
function toRow(cipher: Cipher, { agentId, incarnation }: Batch, item: TelemetryItem) {
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
