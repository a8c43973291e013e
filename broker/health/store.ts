import type { Sql } from '../store/database.ts';
import type { HealthCounts, HealthName, StackHealthReport, StoredObject } from './rules.ts';

/** Joins the health of what is desired now (alias h) to a placement p and its deployment d; no row for what was not reported yet. */
export const healthJoin = `left join placement_health h on h.agent_id = p.agent_id and h.stack_id = p.stack_id
    and p.state = 'active' and h.generation = p.generation and h.deployment_id = d.id`;

/** Reads the incarnation that an agent's calls have to carry; 0 for an agent that is gone. */
export async function readIncarnation(tx: Sql, agentId: string): Promise<bigint> {
  const [row] = await tx.sql<{ incarnation: string }>('select incarnation from agent_status where agent_id = $1', [
    agentId,
  ]);
  return BigInt(row?.incarnation ?? 0);
}

/**
 * Replaces the health of stacks, in one statement, and adds changes to the history. A report counts only while it is about the desired
 * state (deployment and generation), and none overwrites that of a later start of the agent. Returns the ids of the stacks that were
 * written. It locks no placement, stack or agent.
 */
export async function recordHealth(
  tx: Sql,
  agentId: string,
  incarnation: bigint,
  reports: readonly StackHealthReport[],
): Promise<string[]> {
  const rows = await tx.sql<{ stackId: string }>(recordSql, [
    agentId,
    incarnation,
    JSON.stringify(reports.map(toRow)),
    maxChanges - 1,
  ]);
  return rows.map(({ stackId }) => stackId);
}

/** Changes that are kept for each placement: a flapping object must not fill the disk. */
const maxChanges = 100;

// Rows are written in order of the stack, so that two reports of one agent cannot deadlock.
const recordSql = `
  with written as (
    insert into placement_health as h (agent_id, stack_id, deployment_id, generation, incarnation, health, message, objects, object_count)
    select p.agent_id, p.stack_id, d.id, p.generation, $2::bigint, e.health, e.message, e.objects, e.object_count
    from jsonb_to_recordset($3::jsonb) as e(stack_id uuid, deployment_id uuid, generation bigint, health health, message text,
      objects jsonb, object_count int)
    join placement p on p.agent_id = $1 and p.stack_id = e.stack_id and p.generation = e.generation and p.state = 'active'
    join stack s on s.id = p.stack_id
    join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment) and d.id = e.deployment_id
    order by p.stack_id
    on conflict (agent_id, stack_id) do update set deployment_id = excluded.deployment_id, generation = excluded.generation,
      incarnation = excluded.incarnation, health = excluded.health, message = excluded.message, objects = excluded.objects,
      object_count = excluded.object_count, reported_at = now(),
      changed_at = case when h.health = excluded.health then h.changed_at else now() end
    where excluded.incarnation >= h.incarnation
    returning h.stack_id, h.health, h.message, h.changed_at = now() as changed
  ), noted as (
    insert into health_change (agent_id, stack_id, health, message)
    select $1, stack_id, health, message from written where changed
  ), trimmed as (
    delete from health_change where id in (
      select old.id from written w
      cross join lateral (
        select c.id from health_change c where c.agent_id = $1 and c.stack_id = w.stack_id order by c.id desc offset $4) old
      where w.changed)
  )
  select stack_id as "stackId" from written`;

/** Maps a report to the columns of its row, for `jsonb_to_recordset`. */
function toRow(report: StackHealthReport) {
  return {
    stack_id: report.stackId,
    deployment_id: report.deploymentId,
    generation: String(report.generation),
    health: report.health,
    message: report.message,
    objects: report.objects,
    object_count: report.objectCount,
  };
}

/** Joins placements with the health that was reported about their desired state: aliases p, s, d, h. */
const joins = `
  from placement p
  join stack s on s.id = p.stack_id
  left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
  ${healthJoin}`;

/** Counts the agents by health for each of the stacks, in one query. */
export async function healthCounts(db: Sql, stackIds: readonly string[]): Promise<Map<string, HealthCounts>> {
  const rows = await db.sql<{ stackId: string; health: HealthName; count: number }>(
    `select p.stack_id as "stackId", h.health, count(*)::int as count ${joins} where p.stack_id = any($1) and h.health is not null group by 1, 2`,
    [stackIds],
  );
  const counts = new Map<string, HealthCounts>();
  for (const { stackId, health, count } of rows) counts.set(stackId, { ...counts.get(stackId), [health]: count });
  return counts;
}

export interface AgentHealthRow {
  readonly agentId: string;
  readonly agent: string;
  /** Null, like the fields that follow, while the agent has not reported about the desired state. */
  readonly health: HealthName | null;
  readonly message: string | null;
  readonly objects: StoredObject[] | null;
  readonly objectCount: number | null;
  readonly deploymentId: string | null;
  readonly revision: number | null;
  readonly changedAt: Date | null;
  readonly reportedAt: Date | null;
  /** Position in `healths`, from 1: higher is worse. 0 for none. */
  readonly rank: number;
}

const rankSql = `coalesce(array_position(enum_range(null::health), h.health), 0)`;

/** Lists the health of a stack on the agents that serve it, the worst first, then by name; at most `limit`. */
export async function listAgentHealth(
  db: Sql,
  filter: {
    readonly stackId: string;
    readonly agentId: string | undefined;
    readonly after: readonly string[] | undefined;
    readonly limit: number;
  },
): Promise<AgentHealthRow[]> {
  return db.sql<AgentHealthRow>(
    `select p.agent_id as "agentId", a.name as agent, h.health, h.message, h.objects, h.object_count as "objectCount",
       h.deployment_id as "deploymentId", case when h.health is not null then d.revision end as revision,
       h.changed_at as "changedAt", h.reported_at as "reportedAt", ${rankSql} as rank
     ${joins} join agent a on a.id = p.agent_id
     where p.stack_id = $1 and p.state = 'active' and ($2::uuid is null or p.agent_id = $2)
       and ($3::int is null or (-${rankSql}, a.name, a.id) > (-$3::int, $4, $5::uuid))
     order by ${rankSql} desc, a.name, a.id limit $6`,
    [
      filter.stackId,
      filter.agentId ?? null,
      filter.after?.[0] ?? null,
      filter.after?.[1] ?? null,
      filter.after?.[2] ?? null,
      filter.limit,
    ],
  );
}

export interface HealthChangeRow {
  readonly agentId: string;
  /** Name of the agent; null when it is gone. */
  readonly agent: string | null;
  readonly health: HealthName;
  readonly message: string;
  readonly at: Date;
}

/** Lists the latest changes of a stack's health, newest first. */
export async function listHealthChanges(
  db: Sql,
  stackId: string,
  agentId: string | undefined,
  limit: number,
): Promise<HealthChangeRow[]> {
  return db.sql<HealthChangeRow>(
    `select c.agent_id as "agentId", a.name as agent, c.health, c.message, c.at
     from (select * from health_change where stack_id = $1 and ($2::uuid is null or agent_id = $2) order by id desc limit $3) c
     left join agent a on a.id = c.agent_id order by c.id desc`,
    [stackId, agentId ?? null, limit],
  );
}

/** Deletes changes that are older than `days`, and the health of stacks that an agent no longer serves. Returns how many rows. */
export async function deleteOldHealth(db: Sql, days: number): Promise<number> {
  const changes = await db.sql('delete from health_change where at < now() - make_interval(days => $1) returning 1', [
    days,
  ]);
  const orphaned = await db.sql(
    `delete from placement_health h
     where not exists (select from placement p where p.agent_id = h.agent_id and p.stack_id = h.stack_id) returning 1`,
  );
  return changes.length + orphaned.length;
}
