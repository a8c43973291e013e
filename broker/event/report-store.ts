import type { Sql } from '../store/database.ts';
import type { AgentEvent } from './rules.ts';

/** An agent's report of events, as it came in. */
export interface Report {
  readonly agentId: string;
  /** The key that the caller presented. */
  readonly keyId: string;
  readonly incarnation: bigint;
  readonly events: readonly AgentEvent[];
}

/** The rows on which a report is decided: the agent's last event, and which of the stacks in question it serves or removes. */
export interface ReportState {
  readonly incarnation: bigint;
  readonly lastSequence: bigint;
  readonly placedStackIds: ReadonlySet<string>;
  /** False for a key that was revoked or has expired. */
  readonly isKeyValid: boolean;
}

interface ReportStateRow {
  readonly position: string;
  readonly incarnation: string;
  readonly lastSequence: string;
  readonly placedStackIds: string[];
  readonly isKeyValid: boolean;
}

const lockSql = `
  select r.position, st.incarnation, st.last_sequence as "lastSequence",
    array(select p.stack_id::text from placement p
      where p.agent_id = st.agent_id and p.stack_id = any(r.stack_ids::uuid[])) as "placedStackIds",
    exists (select from pak k where k.id = r.key_id and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > now())) as "isKeyValid"
  from unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality as r(agent_id, key_id, stack_ids, position)
  join agent_status st on st.agent_id = r.agent_id
  order by st.agent_id for update of st`;
const lockOthersSql = `${lockSql} skip locked`;

/**
 * Locks the rows of the agents that report, so that the reports of one agent are recorded one after the other, and returns the state for
 * each report; undefined for an agent that is gone. Without `wait` it leaves out the agents whose row somebody else has locked.
 */
export async function lockReports(
  tx: Sql,
  reports: readonly Report[],
  { wait }: { wait: boolean },
): Promise<(ReportState | undefined)[]> {
  const rows = await tx.sql<ReportStateRow>(wait ? lockSql : lockOthersSql, [
    reports.map(({ agentId }) => agentId),
    reports.map(({ keyId }) => keyId),
    reports.map(({ events }) => `{${[...new Set(events.flatMap(({ stackId }) => stackId ?? []))].join(',')}}`),
  ]);
  const states: (ReportState | undefined)[] = reports.map(() => undefined);
  for (const row of rows)
    states[Number(row.position) - 1] = {
      incarnation: BigInt(row.incarnation),
      lastSequence: BigInt(row.lastSequence),
      placedStackIds: new Set(row.placedStackIds),
      isKeyValid: row.isKeyValid,
    };
  return states;
}

/** An event of an agent. */
export interface SentEvent {
  readonly agentId: string;
  readonly incarnation: bigint;
  readonly event: AgentEvent;
}

/** The rows to record for several reports. */
export interface ReportRecord {
  /** Rows of the history, in the order in which they are listed. */
  readonly history: readonly SentEvent[];
  /** The events that may change the phase of a placement. */
  readonly accepted: readonly SentEvent[];
  /** The last event of each agent, by its id. */
  readonly last: ReadonlyMap<string, { readonly incarnation: bigint; readonly sequence: bigint }>;
}

// Arrays cost much less to read than JSON.
const recordSql = `
  with history as (
    insert into event (agent_id, incarnation, sequence, stack_id, deployment_id, outcome, message, objects, agent_time)
    select agent_id, incarnation, sequence, stack_id, deployment_id, outcome, message, objects::jsonb, agent_time
    from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::timestamptz[])
      with ordinality as e(agent_id, incarnation, sequence, stack_id, deployment_id, outcome, message, objects, agent_time, position)
    order by position
  ), counted as (
    update agent_status st set incarnation = greatest(st.incarnation, c.incarnation), last_sequence = c.last_sequence,
      last_heartbeat_at = now()
    from unnest($10::uuid[], $11::bigint[], $12::bigint[]) as c(agent_id, incarnation, last_sequence)
    where st.agent_id = c.agent_id
  )
  insert into placement_status as st (agent_id, stack_id, deployment_id, checksum, generation, outcome, message, held_keys,
    incarnation, sequence, updated_at)
  select distinct on (p.agent_id, p.stack_id) p.agent_id, p.stack_id, e.deployment_id, decode(e.checksum, 'hex'), p.generation,
    e.outcome, e.message, case when e.held_keys = '[]' then '{}' else array(select jsonb_array_elements_text(e.held_keys::jsonb)) end,
    e.incarnation, e.sequence, clock_timestamp()
  from unnest($13::uuid[], $14::bigint[], $15::bigint[], $16::uuid[], $17::uuid[], $18::text[], $19::text[], $20::text[], $21::text[],
    $22::bigint[]) as e(agent_id, incarnation, sequence, stack_id, deployment_id, outcome, message, checksum, held_keys, generation)
  join placement p on p.agent_id = e.agent_id and p.stack_id = e.stack_id and p.generation = e.generation
  join stack s on s.id = p.stack_id
  left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
  where case p.state
    when 'removing' then e.outcome in ('removal_failed', 'held', 'waiting')
    else e.outcome in ('applied', 'failed', 'held', 'ahead', 'waiting') and e.deployment_id = d.id
      and (e.outcome = 'ahead' or decode(e.checksum, 'hex') = coalesce(p.manifest, d.checksum)) end
  order by p.agent_id, p.stack_id, e.incarnation desc, e.sequence desc
  on conflict (agent_id, stack_id) do update set deployment_id = excluded.deployment_id, checksum = excluded.checksum,
    generation = excluded.generation, outcome = excluded.outcome, message = excluded.message, held_keys = excluded.held_keys,
    incarnation = excluded.incarnation, sequence = excluded.sequence, updated_at = excluded.updated_at
  where (excluded.incarnation, excluded.sequence) > (st.incarnation, st.sequence)`;

/**
 * Records reports in one statement: the history, the last sequences, and the status of placements. An event changes the status only
 * while it is about the desired state (deployment, checksum and generation; for a removal, the generation). Of several about one
 * placement the latest counts, and none overwrites a later report.
 */
export async function recordReports(tx: Sql, { history, accepted, last }: ReportRecord): Promise<void> {
  const relevant = latestOfEach(accepted);
  await tx.sql(recordSql, [
    ...commonColumns(history),
    history.map(({ event }) => JSON.stringify(event.objects)),
    history.map(({ event }) => event.agentTime?.toISOString() ?? null),
    [...last.keys()],
    [...last.values()].map(({ incarnation }) => String(incarnation)),
    [...last.values()].map(({ sequence }) => String(sequence)),
    ...commonColumns(relevant),
    relevant.map(({ event }) => event.checksum),
    relevant.map(({ event }) => JSON.stringify(event.heldKeys)),
    relevant.map(({ event }) => String(event.generation)),
  ]);
}

function commonColumns(sent: readonly SentEvent[]): unknown[][] {
  return [
    sent.map(({ agentId }) => agentId),
    sent.map(({ incarnation }) => String(incarnation)),
    sent.map(({ event }) => String(event.sequence)),
    sent.map(({ event }) => event.stackId),
    sent.map(({ event }) => event.deploymentId),
    sent.map(({ event }) => event.outcome),
    sent.map(({ event }) => event.message),
  ];
}

/** Keeps, of the events that change a status in the same way, the latest. */
function latestOfEach(sent: readonly SentEvent[]): SentEvent[] {
  const latest = new Map<string, SentEvent>();
  for (const one of sent) {
    const { stackId, deploymentId, checksum, generation, outcome } = one.event;
    const key = `${one.agentId} ${one.incarnation} ${stackId} ${deploymentId} ${checksum} ${generation} ${outcome}`;
    const earlier = latest.get(key);
    if (!earlier || earlier.event.sequence < one.event.sequence) latest.set(key, one);
  }
  return [...latest.values()];
}
