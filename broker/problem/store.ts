import { healthJoin } from '../health/store.ts';
import { phaseJoins, phaseSql, waitsForSql } from '../placement/store.ts';
import type { Sql } from '../store/database.ts';
import { maxAgents, type ProblemRow } from './rules.ts';

/** Messages that differ only in names and numbers become one problem, so more rows are read than problems are returned. */
const maxRows = 5_000;

/**
 * Groups the placements that are not applied or not healthy, the worst groups first, in one statement: those of one generator's stacks
 * (`owner`) or of all, and of one stack or of all. At most `maxRows` are returned.
 */
export async function listProblemRows(
  db: Sql,
  { owner, stackId }: { readonly owner: string | null; readonly stackId: string | undefined },
): Promise<ProblemRow[]> {
  return db.sql<ProblemRow>(
    `with placed as (
       select p.stack_id, s.generator_id, s.name as stack, d.id as deployment_id, a.name as agent, ${phaseSql} as phase, h.health,
         st.outcome, st.message, h.message as health_message, ${waitsForSql} as waits_for,
         case when h.health > 'healthy' then h.changed_at else greatest(p.updated_at, d.created_at) end as since
       ${phaseJoins} ${healthJoin}
       join agent a on a.id = p.agent_id
       left join agent_status ast on ast.agent_id = p.agent_id
       where ($1::uuid is null or s.generator_id = $1) and ($2::uuid is null or p.stack_id = $2)
     ), troubled as (
       select *,
         case when phase in ('failed', 'held', 'ahead') then 4 when phase = 'removing' then 3 when phase = 'pending' then 1
           when health = 'failed' then 4 when health = 'unknown' then 3 when health = 'degraded' then 2 else 1 end as severity,
         case when phase = 'applied' then health end as bad_health,
         case phase when 'applied' then health_message when 'pending' then waits_for else message end as cause
       from placed
       where phase in ('failed', 'held', 'ahead') or phase = 'applied' and health > 'healthy'
         or phase = 'pending' and deployment_id is not null or phase = 'removing' and outcome = 'removal_failed'
     ), grouped as (
       select stack_id, generator_id, stack, deployment_id, phase, bad_health, coalesce(cause, '') as cause, severity,
         count(*)::int as placements, (array_agg(agent order by agent))[1:$3] as agents, min(since) as since
       from troubled group by 1, 2, 3, 4, 5, 6, 7, 8
       order by severity desc, placements desc, stack, cause limit $4)
     select x.stack_id as "stackId", g.name || '/' || x.stack as stack, x.deployment_id as "deploymentId", d.revision,
       d.message as "deploymentMessage", d.created_by as "createdBy", d.created_at as "createdAt", x.phase, x.bad_health as health,
       x.cause as message, x.placements, x.agents, x.since, x.severity,
       (select count(*)::int from placement p where p.stack_id = x.stack_id) as "stackPlacements"
     from grouped x join generator g on g.id = x.generator_id left join deployment d on d.id = x.deployment_id
     order by x.severity desc, x.placements desc, stack, message`,
    [owner, stackId ?? null, maxAgents, maxRows],
  );
}
