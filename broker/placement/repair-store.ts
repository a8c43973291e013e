import { NIL } from 'uuid';
import type { Sql } from '../store/orm.ts';
import { matchSql } from './match-store.ts';

const agentsAtOnce = 200;

/** Sets of agents, in order of id, that together are all: a comparison of everything at once would not fit into memory. */
export async function* agentSets(db: Sql): AsyncGenerator<string[]> {
  for (let after: string = NIL; ; ) {
    const rows = await db.sql<{ id: string }>('select id from agent where id > $1 order by id limit $2', [
      after,
      agentsAtOnce,
    ]);
    const last = rows.at(-1);
    if (!last) return;
    yield rows.map((row) => row.id);
    after = last.id;
  }
}

/** Those of the agents whose active placements are not those of the rules, as one statement sees both. */
export async function misplacedAgents(db: Sql, agentIds: readonly string[]): Promise<string[]> {
  const rows = await db.sql<{ agent_id: string }>(
    `select distinct coalesce(m.agent_id, p.agent_id) as agent_id
     from (${matchSql}) m
     full join (select agent_id, stack_id, reasons from placement where state = 'active' and agent_id = any($1)) p
       on p.agent_id = m.agent_id and p.stack_id = m.stack_id
     where m.agent_id is null or p.agent_id is null or m.reasons <> p.reasons`,
    [agentIds, null],
  );
  return rows.map((row) => row.agent_id);
}
