import type { Sql } from '../store/orm.ts';
import { matchSql } from './match.ts';

/** Agents whose active placements are not those of the rules, as one statement sees both; at most 1,000. */
export async function misplacedAgents(db: Sql): Promise<string[]> {
  const rows = await db.sql<{ agent_id: string }>(
    `select distinct coalesce(m.agent_id, p.agent_id) as agent_id
     from (${matchSql}) m
     full join (select agent_id, stack_id from placement where state = 'active') p on p.agent_id = m.agent_id and p.stack_id = m.stack_id
     where m.agent_id is null or p.agent_id is null limit 1000`,
    [null, null],
  );
  return rows.map((row) => row.agent_id);
}
