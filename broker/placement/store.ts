import { healthJoin } from '../health/store.ts';
import type { Sql } from '../store/database.ts';
import { onlineForMs, type PlacementRow } from './rules.ts';

/** Time during which a heartbeat of an agent, or a sign of its session, counts. */
export const onlineForSql = `interval '${onlineForMs / 1_000} seconds'`;

/** Joins a placement with everything that its phase depends on: aliases p, s, d (desired), st (status). */
export const phaseJoins = `
  from placement p
  join stack s on s.id = p.stack_id
  left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
  left join placement_status st on st.agent_id = p.agent_id and st.stack_id = p.stack_id`;

/** Adds names, the state of the agent, the reported deployment and health: aliases a, ast, g, rd, h. */
const joins = `${phaseJoins}
  join agent a on a.id = p.agent_id
  left join agent_status ast on ast.agent_id = p.agent_id
  join generator g on g.id = s.generator_id
  left join deployment rd on rd.id = st.deployment_id
  ${healthJoin}`;

/** The order of an agent's target state entry: the highest of what last changed it. */
export const orderSql = 'greatest(s.current_order, p.pin_order, p.generation)';

/** The objects whose deletion the agent holds back, if its last report is about what is desired now. */
export const heldKeysSql = `case
  when st.outcome = 'held' and st.generation = p.generation and (p.state = 'removing'
    or st.deployment_id = d.id and st.checksum is not distinct from coalesce(p.manifest, d.checksum)) then st.held_keys
  else '{}' end`;

/** True while something that the agent's last report holds back is not confirmed. */
const isUnconfirmed = `(p.confirmed_order <> ${orderSql} or not st.held_keys <@ p.confirmed_keys and not '{many}' <@ p.confirmed_keys)`;

/** Computes the phase from the state and the last report; nothing stores it. */
export const phaseSql = `case
  when p.state = 'removing' then
    case when p.held or (st.outcome = 'held' and st.generation = p.generation and ${isUnconfirmed}) then 'held' else 'removing' end
  when st.outcome = 'ahead' and st.generation = p.generation and st.deployment_id is not distinct from d.id then 'ahead'
  when d.id is null or st.deployment_id is distinct from d.id or st.generation <> p.generation
    or st.checksum is distinct from coalesce(p.manifest, d.checksum) then 'pending'
  when st.outcome = 'held' then case when ${isUnconfirmed} then 'held' else 'pending' end
  when st.outcome in ('applied', 'failed') then st.outcome
  else 'pending' end`;

/** True while the agent waits for something else before it applies what is desired now. */
const isWaiting = `(p.state = 'active' and st.outcome = 'waiting' and st.deployment_id = d.id and st.generation = p.generation
  and st.checksum = coalesce(p.manifest, d.checksum)) is true`;

/**
 * Says what a placement waits for that the agent has not reported about; empty while an agent that works has not reported. Needs the
 * aliases a and ast.
 */
export const waitsForSql = `case
  when ${isWaiting} then st.message
  when coalesce(ast.incarnation, 0) = 0 then 'the agent has never started'
  when ast.last_heartbeat_at is null or ast.last_heartbeat_at <= now() - ${onlineForSql} then 'the agent is offline'
  when a.paused then 'the agent is paused'
  else '' end`;

const messageSql = `case when ${phaseSql} = 'pending' and d.id is not null then ${waitsForSql} else st.message end`;

const columns = `p.agent_id as "agentId", a.name as agent, p.stack_id as "stackId", g.name || '/' || s.name as stack, p.state, p.generation,
  p.reasons, d.id as "desiredId", d.revision as "desiredRevision", ${phaseSql} as phase, st.deployment_id as "reportedId",
  rd.revision as "reportedRevision", ${messageSql} as message, a.paused as "agentPaused",
  st.updated_at as "reportedAt", p.removal_reason as "removalReason", p.held,
  ${heldKeysSql} as "heldKeys", h.health, h.message as "healthMessage", ${isWaiting} as waiting,
  greatest(p.updated_at, st.updated_at) as "updatedAt", ${orderSql} as "order"`;

export interface PlacementFilter {
  /** Only stacks of this generator; null means all. */
  readonly owner: string | null;
  readonly stackId?: string | undefined;
  readonly agentId?: string | undefined;
  readonly phase?: string | undefined;
  readonly after?: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists placements in order of (agent id, stack id), at most `limit`. */
export async function listPlacements(db: Sql, filter: PlacementFilter): Promise<PlacementRow[]> {
  return db.sql<PlacementRow>(
    `select ${columns} ${joins}
     where ($1::uuid is null or s.generator_id = $1)
       and ($2::uuid is null or p.stack_id = $2)
       and ($3::uuid is null or p.agent_id = $3)
       and ($4::text is null or ${phaseSql} = $4)
       and ($5::uuid is null or (p.agent_id, p.stack_id) > ($5, $6::uuid))
     order by p.agent_id, p.stack_id limit $7`,
    [
      filter.owner,
      filter.stackId ?? null,
      filter.agentId ?? null,
      filter.phase ?? null,
      filter.after?.[0] ?? null,
      filter.after?.[1] ?? null,
      filter.limit,
    ],
  );
}

/** Numbers of placements by phase. */
export type Counts = Readonly<Record<string, number>>;

/**
 * Counts the placements in each phase, for each of the given agents or stacks, in one query: those of all stacks, or only of one
 * generator's (`owner`).
 */
export async function placementCounts(
  db: Sql,
  of: { agentIds: readonly string[] } | { stackIds: readonly string[] },
  owner: string | null = null,
): Promise<Map<string, Counts>> {
  const [column, ids] = 'agentIds' in of ? ['p.agent_id', of.agentIds] : ['p.stack_id', of.stackIds];
  const rows = await db.sql<{ id: string; phase: string; count: number }>(
    `select ${column} as id, ${phaseSql} as phase, count(*)::int as count ${phaseJoins}
     where ${column} = any($1) and ($2::uuid is null or s.generator_id = $2) group by 1, 2`,
    [ids, owner],
  );
  const counts = new Map<string, Record<string, number>>();
  for (const row of rows) {
    const byPhase = counts.get(row.id) ?? {};
    byPhase[row.phase] = row.count;
    counts.set(row.id, byPhase);
  }
  return counts;
}

/** Deletes an agent's last reports about these stacks; null means all. The history of events and health stays. */
export async function forgetReports(tx: Sql, agentId: string, stackIds: readonly string[] | null): Promise<void> {
  for (const table of ['placement_status', 'placement_health'])
    await tx.sql(`delete from ${table} where agent_id = $1 and ($2::uuid[] is null or stack_id = any($2))`, [
      agentId,
      stackIds,
    ]);
}
