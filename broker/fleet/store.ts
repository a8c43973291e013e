import { agentColumns, agentJoins } from '../agent/store.ts';
import { healthJoin } from '../health/store.ts';
import { onlineForSql, phaseJoins, phaseSql } from '../placement/store.ts';
import type { Sql } from '../store/database.ts';
import type { AgentState, Backlog, FleetRow, MemberRow } from './rules.ts';

/** The state of an agent (aliases a, st). Faults come before intended states: a paused agent without heartbeats is offline. */
const stateSql = `case
  when a.deleted_at is not null then 'draining'
  when coalesce(st.incarnation, 0) = 0 then 'never_started'
  when st.last_heartbeat_at is null or st.last_heartbeat_at <= now() - ${onlineForSql} then 'offline'
  when a.paused then 'paused'
  else 'online' end`;

/** The worst health of an agent's placements, and their counts by phase. Uses alias a, makes alias w. */
const workSql = `cross join lateral (
  select max(x.health) as health,
    jsonb_build_object(
      'pending', count(*) filter (where x.phase = 'pending'), 'applied', count(*) filter (where x.phase = 'applied'),
      'failed', count(*) filter (where x.phase = 'failed'), 'removing', count(*) filter (where x.phase = 'removing'),
      'held', count(*) filter (where x.phase = 'held'), 'ahead', count(*) filter (where x.phase = 'ahead')) as phases,
    count(*) filter (where x.phase in ('pending', 'failed', 'held', 'ahead') or x.health > 'healthy') as troubles
  from (select ${phaseSql} as phase, h.health ${phaseJoins} ${healthJoin} where p.agent_id = a.id) x) w`;

const memberColumns = `${agentColumns}, ${stateSql} as state, w.health, w.phases`;

export interface MemberFilter {
  readonly label: string;
  readonly state: AgentState | undefined;
  readonly search: string;
  readonly troubled: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists agents with their state and placements, in order of (name, id), at most `limit`. */
export async function listMembers(db: Sql, filter: MemberFilter): Promise<MemberRow[]> {
  return db.sql<MemberRow>(
    `select ${memberColumns} ${agentJoins} ${workSql}
     where $1::uuid is null
       and ($2 = '' or exists (select from agent_label l where l.agent_id = a.id and l.label = $2))
       and ($3::text is null or ${stateSql} = $3)
       and position($4 in a.name) > 0
       and (not $5 or w.troubles > 0)
       and ($6::text is null or (a.name, a.id) > ($6, $7::uuid))
     order by a.name, a.id limit $8`,
    [
      null,
      filter.label,
      filter.state ?? null,
      filter.search,
      filter.troubled,
      filter.after?.[0] ?? null,
      filter.after?.[1] ?? null,
      filter.limit,
    ],
  );
}

/** Lists the agents after an id, in order of id, for reading all of them. */
export async function membersAfter(db: Sql, id: string, limit: number): Promise<MemberRow[]> {
  return db.sql<MemberRow>(
    `select ${memberColumns} ${agentJoins} ${workSql} where $1::uuid is null and a.id > $2 order by a.id limit $3`,
    [null, id, limit],
  );
}

/** Counts the fleet, in two statements. */
export async function readFleet(db: Sql): Promise<FleetRow> {
  const states = await db.sql<{ state: AgentState; count: number; unreachable: number; stacks: number }>(
    `select ${stateSql} as state, count(*)::int as count,
       (count(*) filter (where st.cluster_reachable = false and ${stateSql} = 'online'))::int as unreachable,
       (select count(*)::int from stack where deleted_at is null) as stacks
     ${agentJoins} group by grouping sets ((1), ())`,
  );
  const total = states.find((row) => row.state === null);
  const [work] = await db.sql<Pick<FleetRow, 'phases' | 'healths' | 'oldestPendingSince'>>(fleetWorkSql);
  return {
    agents: Object.fromEntries(states.filter((row) => row !== total).map((row) => [row.state, row.count])),
    clustersUnreachable: total?.unreachable ?? 0,
    stacks: total?.stacks ?? 0,
    phases: work?.phases ?? {},
    healths: work?.healths ?? {},
    oldestPendingSince: work?.oldestPendingSince ?? null,
  };
}

// A placement is pending since its deployment was submitted or it changed, whichever came later. One without a deployment is not pending.
const fleetWorkSql = `
  with work as (
    select ${phaseSql} as phase, h.health, count(*)::int as count,
      min(greatest(p.updated_at, d.created_at)) filter (where d.id is not null or p.state = 'removing') as since
    ${phaseJoins} ${healthJoin} group by 1, 2)
  select
    (select jsonb_object_agg(phase, count) from (select phase, sum(count) as count from work group by 1) x) as phases,
    (select jsonb_object_agg(health, count) from (select health, sum(count) as count from work where health is not null group by 1) x) as healths,
    (select min(since) from work where phase <> 'applied') as "oldestPendingSince"`;

/** Counts waiting work, in one statement. The condition on the day excludes the partitions of earlier days. */
export async function readBacklog(db: Sql): Promise<Backlog> {
  const [row] = await db.sql<{ unsealed: number; age: number | null; diagnostics: number }>(
    `select (select count(*)::int from audit_unsealed) as unsealed,
       (select extract(epoch from now() - a.at)::float8 from audit a
        where a.id = (select min(audit_id) from audit_unsealed)
          and a.at >= (select min(day) from audit_unsealed)::timestamp at time zone 'utc') as age,
       (select count(*)::int from diagnostic where state in ('pending', 'claimed') and expires_at > now()) as diagnostics`,
  );
  return {
    unsealed: row?.unsealed ?? 0,
    unsealedSeconds: Math.max(0, row?.age ?? 0),
    diagnostics: row?.diagnostics ?? 0,
  };
}
