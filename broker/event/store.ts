import { forgetReports } from '../placement/store.ts';
import type { Sql, Tx } from '../store/orm.ts';
import type { Reported } from './rules.ts';

/**
 * Locks the row that orders an agent's events, and looks which of the stacks the agent serves or removes. Undefined when the agent is
 * gone.
 */
export async function lockEventOrder(
  tx: Sql,
  agentId: string,
  stackIds: readonly string[],
): Promise<{ incarnation: bigint; lastSequence: bigint; placed: ReadonlySet<string> } | undefined> {
  const [row] = await tx.sql<{ incarnation: string; last_sequence: string; placed: string[] }>(
    `select incarnation, last_sequence,
       array(select stack_id::text from placement where agent_id = $1 and stack_id = any($2)) as placed
     from agent_status where agent_id = $1 for update`,
    [agentId, stackIds],
  );
  return (
    row && {
      incarnation: BigInt(row.incarnation),
      lastSequence: BigInt(row.last_sequence),
      placed: new Set(row.placed),
    }
  );
}

export interface Recorded {
  /** Rows of the history. */
  readonly stored: readonly Reported[];
  /** What may change the phase of a placement. */
  readonly accepted: readonly Reported[];
  readonly lastSequence: bigint;
}

/**
 * Writes a report in one statement: the history, the last sequence, and what the events say about placements. Of the latter only those
 * about what is desired now (deployment, checksum and generation; of a removal, its generation), the latest for each stack, and never
 * over a later report.
 */
export async function recordEvents(tx: Sql, agentId: string, incarnation: bigint, record: Recorded): Promise<void> {
  await tx.sql(recordSql, [
    agentId,
    incarnation,
    record.lastSequence,
    JSON.stringify(record.stored.map(toRow)),
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
    when 'removing' then e.outcome in ('removal_failed', 'held')
    else e.outcome in ('applied', 'failed', 'held', 'ahead', 'waiting') and e.deployment_id = d.id
      and (e.outcome = 'ahead' or decode(e.checksum, 'hex') = coalesce(p.manifest, d.checksum)) end
  order by p.stack_id, e.sequence desc
  on conflict (agent_id, stack_id) do update set deployment_id = excluded.deployment_id, checksum = excluded.checksum,
    generation = excluded.generation, outcome = excluded.outcome, message = excluded.message, held_keys = excluded.held_keys,
    incarnation = excluded.incarnation,
    sequence = excluded.sequence, updated_at = excluded.updated_at
  where (excluded.incarnation, excluded.sequence) > (st.incarnation, st.sequence)`;

/**
 * Ends removals that were acknowledged: only while the placement is still removing with that generation; else without effect.
 * Returns how many ended. The agent side's locks must be held.
 */
export async function endRemovals(
  tx: Tx,
  agentId: string,
  acknowledgements: readonly { stackId: string | null; generation: bigint }[],
): Promise<number> {
  const rows = await tx.sql<{ stack_id: string }>(
    `delete from placement p using unnest($2::uuid[], $3::bigint[]) as ack(stack_id, generation)
     where p.agent_id = $1 and p.stack_id = ack.stack_id and p.generation = ack.generation and p.state = 'removing'
     returning p.stack_id`,
    [agentId, acknowledgements.map((ack) => ack.stackId), acknowledgements.map((ack) => ack.generation)],
  );
  await forgetReports(
    tx,
    agentId,
    rows.map((row) => row.stack_id),
  );
  return rows.length;
}

export interface EventRow {
  readonly id: string;
  readonly agent_id: string;
  readonly agent: string | null;
  readonly incarnation: string;
  readonly sequence: string;
  readonly stack_id: string | null;
  readonly stack: string | null;
  readonly deployment_id: string | null;
  readonly revision: number | null;
  readonly outcome: OutcomeText;
  readonly message: string;
  readonly objects: StoredChange[];
  readonly received_at: Date;
  readonly agent_time: Date | null;
}
type OutcomeText = Reported['outcome'];
export interface StoredChange {
  readonly object: { apiVersion: string; kind: string; namespace: string; name: string };
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

const eventColumns = `e.id, e.agent_id, a.name as agent, e.incarnation, e.sequence, e.stack_id, g.name || '/' || s.name as stack,
  e.deployment_id, d.revision, e.outcome, e.message, e.objects, e.received_at, e.agent_time`;
const names = `
  left join agent a on a.id = e.agent_id
  left join stack s on s.id = e.stack_id
  left join generator g on g.id = s.generator_id
  left join deployment d on d.id = e.deployment_id`;
const chosen = `($1::uuid is null or e.stack_id = $1) and ($2::uuid is null or e.agent_id = $2) and ($3::text is null or e.outcome = $3)
  and ($4::bigint is null or e.id < $4)`;
/** One walk down an index. */
const newestSql = `select ${eventColumns} from (select * from event e where ${chosen} order by e.id desc limit $5) e ${names} order by e.id desc`;
/** The newest of each stack of a generator, so that others' events are not walked through. */
const newestOfOwnerSql = `
  select ${eventColumns}
  from (select e.* from stack mine
    cross join lateral (select * from event e where e.stack_id = mine.id and ${chosen} order by e.id desc limit $5) e
    where mine.generator_id = $6 order by e.id desc limit $5) e ${names}
  order by e.id desc`;

/** Newest first. A generator sees those about its own stacks; a `stackId` must be one that the owner may see. */
export async function listEvents(db: Sql, filter: EventFilter): Promise<EventRow[]> {
  const { owner, stackId, agentId, outcome, after, limit } = filter;
  const params = [stackId ?? null, agentId ?? null, outcome ?? null, after?.[0] ?? null, limit];
  return owner === null || stackId !== undefined
    ? db.sql<EventRow>(newestSql, params)
    : db.sql<EventRow>(newestOfOwnerSql, [...params, owner]);
}

function toRow(event: Reported) {
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
