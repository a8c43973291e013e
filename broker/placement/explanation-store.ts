import type { Sql } from '../store/database.ts';
import type { MatchFacts } from './explanation.ts';

/** Reads everything that ExplainPlacement talks about, in one statement. Undefined when the agent or the stack is gone. */
export async function readMatchFacts(db: Sql, agentId: string, stackId: string): Promise<MatchFacts | undefined> {
  const [facts] = await db.sql<MatchFacts>(
    `select
       (select state from registration r where r.agent_id = a.id and r.generator_id = s.generator_id) as registration,
       exists (select from target t where t.agent_id = a.id and t.stack_id = s.id) as "isTargeted",
       array(select label from agent_label where agent_id = a.id order by 1) as "agentLabels",
       array(select label from stack_label where stack_id = s.id order by 1) as "stackLabels",
       coalesce((select jsonb_object_agg(key, value) from agent_annotation where agent_id = a.id), '{}') as "agentAnnotations",
       coalesce((select jsonb_object_agg(key, value) from stack_annotation where stack_id = s.id), '{}') as "stackAnnotations",
       s.has_selector as "hasSelector",
       coalesce((select jsonb_agg(jsonb_build_object('key', t.key, 'operator', t.op, 'values', t.vals, 'holds',
         exists (select from agent_key k where k.agent_id = a.id and k.key = t.key
           and (t.op in ('exists', 'does_not_exist') or k.value = any(t.vals))) = (t.op in ('in', 'exists'))) order by t.position)
         from stack_selector_term t where t.stack_id = s.id), '[]') as terms,
       a.paused as "isPaused", coalesce(ast.incarnation, 0) as incarnation, ast.last_heartbeat_at as "lastHeartbeatAt",
       d.revision, a.deleted_at is not null as "isAgentDeleted",
       coalesce((select jsonb_agg(jsonb_build_object('name', o.name, 'isPlaced', p.stack_id is not null) order by o.name)
         from stack_dependency sd join stack o on o.id = sd.depends_on_id
         left join placement p on p.agent_id = a.id and p.stack_id = o.id and p.state = 'active'
         where sd.stack_id = s.id and coalesce(p.pin_deployment, case when p.stack_id is not null then o.current_deployment end)
           is null), '[]') as "unavailableDependencies"
     from agent a cross join stack s
     left join agent_status ast on ast.agent_id = a.id
     left join deployment d on d.id = s.current_deployment
     where a.id = $1 and s.id = $2`,
    [agentId, stackId],
  );
  return facts;
}
