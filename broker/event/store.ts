import type { ObjectId } from '../../contract/object-key.ts';
import { forgetReports } from '../placement/store.ts';
import type { Sql, Tx } from '../store/database.ts';
import type { AgentEvent, OutcomeName } from './rules.ts';

/** The agent's last event, and which of the stacks in question it serves or removes. */
export interface EventState {
  readonly incarnation: bigint;
  readonly lastSequence: bigint;
  readonly placedStackIds: ReadonlySet<string>;
}

/**
 * Reads the state of an agent's events, and locks its row, so that reports of one agent are recorded one after the other. Undefined
 * when the agent is gone.
 */
export async function lockEventSequence(
  tx: Sql,
  agentId: string,
  stackIds: readonly string[],
): Promise<EventState | undefined> {
  const [row] = await tx.sql<{ incarnation: string; lastSequence: string; placedStackIds: string[] }>(
    `select incarnation, last_sequence as "lastSequence",
       array(select stack_id::text from placement where agent_id = $1 and stack_id = any($2)) as "placedStackIds"
     from agent_status where agent_id = $1 for update`,
    [agentId, stackIds],
  );
  return (
    row && {
      incarnation: BigInt(row.incarnation),
      lastSequence: BigInt(row.lastSequence),
      placedStackIds: new Set(row.placedStackIds),
    }
  );
}

export interface EventRecord {
  /** Rows of the history. */
  readonly history: readonly AgentEvent[];
  /** The events that may change the phase of a placement. */
  readonly accepted: readonly AgentEvent[];
  readonly lastSequence: bigint;
}

/**
 * Records a report in one statement: the history, the last sequence, and the status of placements. An event changes the status only
 * while it is about the desired state (deployment, checksum and generation; for a removal, the generation). Of several about one stack
 * the latest counts, and none overwrites a later report.
 */
export async function recordEvents(tx: Sql, agentId: string, incarnation: bigint, record: EventRecord): Promise<void> {
  await tx.sql(recordSql, [
    agentId,
    incarnation,
    record.lastSequence,
    JSON.stringify(record.history.map(toRow)),
    JSON.stringify(record.accepted.map(toRow)),
  ]);
}

const recordSql = `
  with history as (
    insert into event (agent_id, incarnation, sequence, stack_id, deployment_id, outcome, message, objects, agent_time)
    select $1, $2, e.sequence, e.stack_id, e.deployment_id, e.outcome, e.message, e.objects, e.agent_time
    from jsonb_to_recordset($4::jsonb) as e(sequence bigint, stack_id uuid, deployment_id uuid, outcome text, message text,
      objects jsonb, agent_time timestamptz)
    order by e.sequence
  ), counted as (
    update agent_status set incarnation = greatest(incarnation, $2), last_sequence = $3, last_heartbeat_at = now() where agent_id = $1
  )
  insert into placement_status as st (agent_id, stack_id, deployment_id, checksum, generation, outcome, message, held_keys,
    incarnation, sequence, updated_at)
  select distinct on (p.stack_id) p.agent_id, p.stack_id, e.deployment_id, decode(e.checksum, 'hex'), p.generation, e.outcome, e.message,
    e.held_keys, $2::bigint, e.sequence, clock_timestamp()
  from jsonb_to_recordset($5::jsonb) as e(sequence bigint, stack_id uuid, deployment_id uuid, checksum text, generation bigint,
    outcome text, message text, held_keys text[])
  join placement p on p.agent_id = $1 and p.stack_id = e.stack_id and p.generation = e.generation
  join stack s on s.id = p.stack_id
  left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
  where case p.state
    when 'removing' then e.outcome in ('removal_failed', 'held', 'waiting')
    else e.outcome in ('applied', 'failed', 'held', 'ahead', 'waiting') and e.deployment_id = d.id
      and (e.outcome = 'ahead' or decode(e.checksum, 'hex') = coalesce(p.manifest, d.checksum)) end
  order by p.stack_id, e.sequence desc
  on conflict (agent_id, stack_id) do update set deployment_id = excluded.deployment_id, checksum = excluded.checksum,
    generation = excluded.generation, outcome = excluded.outcome, message = excluded.message, held_keys = excluded.held_keys,
    incarnation = excluded.incarnation,
    sequence = excluded.sequence, updated_at = excluded.updated_at
  where (excluded.incarnation, excluded.sequence) > (st.incarnation, st.sequence)`;

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

/** Maps an event to the columns of its row, for `jsonb_to_recordset`. */
function toRow(event: AgentEvent) {
  return {
    sequence: String(event.sequence),
    stack_id: event.stackId,
    deployment_id: event.deploymentId,
    checksum: event.checksum,
    generation: String(event.generation),
    outcome: event.outcome,
    message: event.message,
    held_keys: event.heldKeys,
    objects: event.objects,
    agent_time: event.agentTime,
  };
}
