import type { HealthCounts, HealthName } from '../health/rules.ts';
import type { Sql } from '../store/database.ts';
import { type Counts, phaseSql } from './store.ts';

/** Numbers of a stack's placements. */
export interface StackCounts {
  readonly phases: Counts;
  readonly healths: HealthCounts;
}

// Every table is limited to the stacks: the planner then reads their reports together, and not one for each placement. Deployments are
// looked up by id, one for each stack and each pin, because a join may read all that were ever kept.
const countSql = `
  select p.stack_id as id, ${phaseSql} as phase, h.health, count(*)::int as count
  from placement p
  join (
    select id, current_order, current_deployment, (select k.checksum from deployment k where k.id = current_deployment) as checksum
    from stack where id = any($1) offset 0) s on s.id = p.stack_id
  cross join lateral (
    select coalesce(p.pin_deployment, s.current_deployment) as id,
      case when p.pin_deployment is null then s.checksum
        else (select k.checksum from deployment k where k.id = p.pin_deployment) end as checksum) d
  left join placement_status st on st.agent_id = p.agent_id and st.stack_id = p.stack_id and st.stack_id = any($1)
  left join placement_health h on h.agent_id = p.agent_id and h.stack_id = p.stack_id and h.stack_id = any($1)
    and p.state = 'active' and h.generation = p.generation and h.deployment_id = d.id
  where p.stack_id = any($1) group by 1, 2, 3`;

/** Counts the placements of each of the stacks by phase, and by health, in one query. A stack without any has no entry. */
export async function countsOfStacks(db: Sql, stackIds: readonly string[]): Promise<Map<string, StackCounts>> {
  const rows = await db.sql<{ id: string; phase: string; health: HealthName | null; count: number }>(countSql, [
    stackIds,
  ]);
  const counts = new Map<string, { phases: Record<string, number>; healths: Record<string, number> }>();
  for (const { id, phase, health, count } of rows) {
    const { phases, healths } = counts.get(id) ?? { phases: {}, healths: {} };
    counts.set(id, { phases, healths });
    phases[phase] = (phases[phase] ?? 0) + count;
    if (health !== null) healths[health] = (healths[health] ?? 0) + count;
  }
  return counts;
}
