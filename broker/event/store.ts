import type { ObjectId } from '../../contract/object-key.ts';
import { forgetReports } from '../placement/store.ts';
import type { Sql, Tx } from '../store/database.ts';
import type { OutcomeName } from './rules.ts';

/**
 * Ends the removals that were acknowledged. An acknowledgement counts only while its placement is still removing with that generation.
 * Returns how many ended. The caller holds the locks of the agent's side.
 */
export async function endRemovals(
  tx: Tx,
  agentId: string,
  acknowledgements: readonly { stackId: string | null; generation: bigint }[],
): Promise<number> {
  const rows = await tx.sql<{ stackId: string }>(
    `delete from placement p using unnest($2::uuid[], $3::bigint[]) as ack(stack_id, generation)
     where p.agent_id = $1 and p.stack_id = ack.stack_id and p.generation = ack.generation and p.state = 'removing'
     returning p.stack_id as "stackId"`,
    [agentId, acknowledgements.map((ack) => ack.stackId), acknowledgements.map((ack) => ack.generation)],
  );
  await forgetReports(
    tx,
    agentId,
    rows.map(({ stackId }) => stackId),
  );
  return rows.length;
}

export interface EventRow {
  readonly id: string;
  readonly agentId: string;
  /** Name of the agent; null when it is gone. So are the names of the stack and the revision of the deployment. */
  readonly agent: string | null;
  readonly incarnation: string;
  readonly sequence: string;
  readonly stackId: string | null;
  readonly stack: string | null;
  readonly deploymentId: string | null;
  readonly revision: number | null;
  readonly outcome: OutcomeName;
  readonly message: string;
  readonly objects: StoredChange[];
  readonly receivedAt: Date;
  readonly agentTime: Date | null;
}

export interface StoredChange {
  readonly object: ObjectId;
  readonly action: number;
  readonly fields: string[];
  readonly message: string;
}

export interface EventFilter {
  readonly owner: string | null;
  readonly stackId: string | undefined;
  readonly agentId: string | undefined;
  readonly outcome: string | undefined;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

const eventColumns = `e.id, e.agent_id as "agentId", a.name as agent, e.incarnation, e.sequence, e.stack_id as "stackId",
  g.name || '/' || s.name as stack, e.deployment_id as "deploymentId", d.revision, e.outcome, e.message, e.objects,
  e.received_at as "receivedAt", e.agent_time as "agentTime"`;
const nameJoins = `
  left join agent a on a.id = e.agent_id
  left join stack s on s.id = e.stack_id
  left join generator g on g.id = s.generator_id
  left join deployment d on d.id = e.deployment_id`;
const filterSql = `($1::uuid is null or e.stack_id = $1) and ($2::uuid is null or e.agent_id = $2) and ($3::text is null or e.outcome = $3)
  and ($4::bigint is null or e.id < $4)`;
// Reads one index from its end.
const newestSql = `select ${eventColumns} from (select * from event e where ${filterSql} order by e.id desc limit $5) e ${nameJoins} order by e.id desc`;
// Reads the newest of each stack of the generator, so that it does not read through the events of others.
const newestOfOwnerSql = `
  select ${eventColumns}
  from (select e.* from stack mine
    cross join lateral (select * from event e where e.stack_id = mine.id and ${filterSql} order by e.id desc limit $5) e
    where mine.generator_id = $6 order by e.id desc limit $5) e ${nameJoins}
  order by e.id desc`;

/** Lists events, the newest first. A generator sees those about its own stacks. The caller has checked that the owner may see `stackId`. */
export async function listEvents(db: Sql, filter: EventFilter): Promise<EventRow[]> {
  const { owner, stackId, agentId, outcome, after, limit } = filter;
  const params = [stackId ?? null, agentId ?? null, outcome ?? null, after?.[0] ?? null, limit];
  return owner === null || stackId !== undefined
    ? db.sql<EventRow>(newestSql, params)
    : db.sql<EventRow>(newestOfOwnerSql, [...params, owner]);
}
