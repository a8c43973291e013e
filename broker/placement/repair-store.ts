import { NIL } from 'uuid';
import type { Sql } from '../store/database.ts';
import { matchSql } from './match-store.ts';

const agentsInBatch = 200;

/** Yields the ids of all agents in batches, in order: comparing all placements at once would not fit into memory. */
export async function* agentBatches(db: Sql): AsyncGenerator<string[]> {
  for (let after: string = NIL; ; ) {
    const rows = await db.sql<{ id: string }>('select id from agent where id > $1 order by id limit $2', [
      after,
      agentsInBatch,
    ]);
    const last = rows.at(-1);
    if (!last) return;
    yield rows.map((row) => row.id);
    after = last.id;
  }
}

/** Returns those of the agents whose active placements differ from the matching rules, compared in one statement. */
export async function misplacedAgents(db: Sql, agentIds: readonly string[]): Promise<string[]> {
  const rows = await db.sql<{ agentId: string }>(
    `select distinct coalesce(m.agent_id, p.agent_id) as "agentId"
     from (${matchSql}) m
     full join (select agent_id, stack_id, reasons from placement where state = 'active' and agent_id = any($1)) p
       on p.agent_id = m.agent_id and p.stack_id = m.stack_id
     where m.agent_id is null or p.agent_id is null or m.reasons <> p.reasons`,
    [agentIds, null],
  );
  return rows.map((row) => row.agentId);
}
