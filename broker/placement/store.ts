import type { Sql } from '../store/orm.ts';
import type { PlacementRow } from './rules.ts';

/** A placement with what its phase follows from: aliases p, s, d (desired), st (status). */
export const phaseJoins = `
  from placement p
  join stack s on s.id = p.stack_id
  left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
  left join placement_status st on st.agent_id = p.agent_id and st.stack_id = p.stack_id`;

/** The health of what is desired now (alias h); nothing for what an agent has not reported yet, or no longer serves. */
export const healthJoin = `left join placement_health h on h.agent_id = p.agent_id and h.stack_id = p.stack_id
    and p.state = 'active' and h.generation = p.generation and h.deployment_id = d.id`;

/** And with names and the reported deployment: aliases a, g, rd, h. */
const joins = `${phaseJoins}
  join agent a on a.id = p.agent_id
  join generator g on g.id = s.generator_id
  left join deployment rd on rd.id = st.deployment_id
  ${healthJoin}`;

/** What an agent is told by: the highest of what last changed it. */
export const orderSql = 'greatest(s.current_order, p.pin_order, p.generation)';

/** Of the objects whose deletion the agent holds back, by its report about what is desired now. */
export const heldKeysSql = `case
  when st.outcome = 'held' and st.generation = p.generation and (p.state = 'removing'
    or st.deployment_id = d.id and st.checksum is not distinct from coalesce(p.manifest, d.checksum)) then st.held_keys
  else '{}' end`;

/** Whether what the agent held back by its last report has not been confirmed. */
const isUnconfirmed = `(p.confirmed_order <> ${orderSql} or not st.held_keys <@ p.confirmed_keys and not '{many}' <@ p.confirmed_keys)`;

/** The phase follows from the state and the last report; nothing stores it. */
export const phaseSql = `case
  when p.state = 'removing' then
    case when p.held or (st.outcome = 'held' and st.generation = p.generation and ${isUnconfirmed}) then 'held' else 'removing' end
  when st.outcome = 'ahead' and st.generation = p.generation and st.deployment_id is not distinct from d.id then 'ahead'
  when d.id is null or st.deployment_id is distinct from d.id or st.generation <> p.generation
    or st.checksum is distinct from coalesce(p.manifest, d.checksum) then 'pending'
  when st.outcome = 'held' then case when ${isUnconfirmed} then 'held' else 'pending' end
  when st.outcome in ('applied', 'failed') then st.outcome
  else 'pending' end`;

/** Whether the agent waits for something else before it applies what is desired now. */
const isWaiting = `(p.state = 'active' and st.outcome = 'waiting' and st.deployment_id = d.id and st.generation = p.generation
  and st.checksum = coalesce(p.manifest, d.checksum)) is true`;

const columns = `p.agent_id, a.name as agent, p.stack_id, g.name || '/' || s.name as stack, p.state, p.generation, p.reasons,
  d.id as desired_id, d.revision as desired_revision, ${phaseSql} as phase, st.deployment_id as reported_id,
  rd.revision as reported_revision, st.message, st.updated_at as reported_at, p.removal_reason, p.held,
  ${heldKeysSql} as held_keys,
  h.health, h.message as health_message, ${isWaiting} as waiting, greatest(p.updated_at, st.updated_at) as updated_at, ${orderSql} as ord`;

export interface PlacementFilter {
  /** Only stacks of this generator; null means all. */
  readonly owner: string | null;
  readonly stackId?: string | undefined;
  readonly agentId?: string | undefined;
  readonly phase?: string | undefined;
  readonly after?: readonly string[] | undefined;
  readonly limit: number;
}

/** Placements in order of (agent, stack), at most `limit`. */
export async function listPlacements(db: Sql, filter: PlacementFilter): Promise<PlacementRow[]> {
  return db.sql<PlacementRow>(
    `select ${columns} ${joins}
     where ($1::uuid is null or s.generator_id = $1)
       and ($2::uuid is null or p.stack_id = $2)
       and ($3::uuid is null or p.agent_id = $3)
       and ($4::text is null or ${phaseSql} = $4)
       and ($5::uuid is null or (p.agent_id, p.stack_id) > ($5, $6::uuid))
     order by p.agent_id, p.stack_id limit $7`,
    [
      filter.owner,
      filter.stackId ?? null,
      filter.agentId ?? null,
      filter.phase ?? null,
      filter.after?.[0] ?? null,
      filter.after?.[1] ?? null,
      filter.limit,
    ],
  );
}

export type Counts = Readonly<Record<string, number>>;

/** How many placements are in each phase, for each of the given agents or stacks: one query. */
export async function placementCounts(
  db: Sql,
  of: { agentIds: readonly string[] } | { stackIds: readonly string[] },
): Promise<Map<string, Counts>> {
  const [column, ids] = 'agentIds' in of ? ['p.agent_id', of.agentIds] : ['p.stack_id', of.stackIds];
  const rows = await db.sql<{ id: string; phase: string; count: number }>(
    `select ${column} as id, ${phaseSql} as phase, count(*)::int as count ${phaseJoins} where ${column} = any($1) group by 1, 2`,
    [ids],
  );
  const counts = new Map<string, Record<string, number>>();
  for (const row of rows) {
    const one = counts.get(row.id) ?? {};
    one[row.phase] = row.count;
    counts.set(row.id, one);
  }
  return counts;
}

/** Forgets what an agent has reported about these stacks; null means all. What is kept as history stays. */
export async function forgetReports(tx: Sql, agentId: string, stackIds: readonly string[] | null): Promise<void> {
  for (const table of ['placement_status', 'placement_health'])
    await tx.sql(`delete from ${table} where agent_id = $1 and ($2::uuid[] is null or stack_id = any($2))`, [
      agentId,
      stackIds,
    ]);
}

/** Why an agent matches a stack or does not, ingredient by ingredient. */
export interface MatchFacts {
  readonly registration: string | null;
  readonly targeted: boolean;
  readonly agent_labels: string[];
  readonly stack_labels: string[];
  readonly agent_annotations: Record<string, string>;
  readonly stack_annotations: Record<string, string>;
  readonly has_selector: boolean;
  readonly terms: { key: string; op: string; vals: string[]; holds: boolean }[];
  readonly paused: boolean;
  readonly incarnation: string;
  readonly last_heartbeat_at: Date | null;
  readonly revision: number | null;
  readonly agent_deleted: boolean;
  /** What the stack depends on and the agent is told nothing of: not placed there, or nothing was submitted. */
  readonly unavailableDependencies: { name: string; placed: boolean }[];
}

/** Reads, in one statement, everything that ExplainPlacement talks about. Undefined when one of the two is gone. */
export async function matchFacts(db: Sql, agentId: string, stackId: string): Promise<MatchFacts | undefined> {
  const [row] = await db.sql<MatchFacts>(
    `select
       (select state from registration r where r.agent_id = a.id and r.generator_id = s.generator_id) as registration,
       exists (select from target t where t.agent_id = a.id and t.stack_id = s.id) as targeted,
       array(select label from agent_label where agent_id = a.id order by 1) as agent_labels,
       array(select label from stack_label where stack_id = s.id order by 1) as stack_labels,
       coalesce((select jsonb_object_agg(key, value) from agent_annotation where agent_id = a.id), '{}') as agent_annotations,
       coalesce((select jsonb_object_agg(key, value) from stack_annotation where stack_id = s.id), '{}') as stack_annotations,
       s.has_selector,
       coalesce((select jsonb_agg(jsonb_build_object('key', t.key, 'op', t.op, 'vals', t.vals, 'holds',
         exists (select from agent_key k where k.agent_id = a.id and k.key = t.key
           and (t.op in ('exists', 'does_not_exist') or k.value = any(t.vals))) = (t.op in ('in', 'exists'))) order by t.position)
         from stack_selector_term t where t.stack_id = s.id), '[]') as terms,
       a.paused, coalesce(ast.incarnation, 0) as incarnation, ast.last_heartbeat_at, d.revision,
       a.deleted_at is not null as agent_deleted,
       coalesce((select jsonb_agg(jsonb_build_object('name', o.name, 'placed', p.stack_id is not null) order by o.name)
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
  return row;
}
