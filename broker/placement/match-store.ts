import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/database.ts';

const agentInScope = (column: string) => `($1::uuid[] is null or ${column} = any($1))`;
const stackInScope = (column: string) => `($2::uuid[] is null or ${column} = any($2))`;

/**
 * The matching rules: selects (agent_id, stack_id, reasons) for each registered pair that shares a target, label or annotation, or
 * whose stack selects the agent. $1 and $2 limit it to some agents and stacks; null means all. It starts from what two sides share,
 * never from all pairs, so its cost follows the matches. Each match is then looked up by key: a join may become a loop over a whole
 * table while the planner's statistics are young.
 */
export const matchSql = `
  with why as materialized (
    select t.agent_id, t.stack_id, 'target' as kind, '' as detail
    from target t where ${agentInScope('t.agent_id')} and ${stackInScope('t.stack_id')}
    union all
    select al.agent_id, sl.stack_id, 'label', al.label
    from agent_label al join stack_label sl on sl.label = al.label
    where ${agentInScope('al.agent_id')} and ${stackInScope('sl.stack_id')}
    union all
    select aa.agent_id, sa.stack_id, 'annotation', aa.key || '=' || aa.value
    from agent_annotation aa join stack_annotation sa on sa.key = aa.key and sa.value = aa.value
    where ${agentInScope('aa.agent_id')} and ${stackInScope('sa.stack_id')}
    union all
    select r.agent_id, s.id, 'selector', ''
    from registration r join stack s on s.generator_id = r.generator_id and s.has_selector
    where ${agentInScope('r.agent_id')} and ${stackInScope('s.id')} and not exists (
      select from stack_selector_term t
      where t.stack_id = s.id and not case t.op
        when 'in' then exists (
          select from agent_key k where k.agent_id = r.agent_id and k.key = t.key and k.value = any(t.vals))
        when 'not_in' then not exists (
          select from agent_key k where k.agent_id = r.agent_id and k.key = t.key and k.value = any(t.vals))
        when 'exists' then exists (select from agent_key k where k.agent_id = r.agent_id and k.key = t.key)
        else not exists (select from agent_key k where k.agent_id = r.agent_id and k.key = t.key)
      end)
  )
  select why.agent_id, why.stack_id,
    jsonb_agg(jsonb_build_object('kind', kind, 'detail', detail) order by kind, detail) as reasons
  from why
  cross join lateral (select s.generator_id from stack s where s.id = why.stack_id and s.deleted_at is null offset 0) s
  where (select g.deleted_at is null from generator g where g.id = s.generator_id)
    and (select a.deleted_at is null from agent a where a.id = why.agent_id)
    and (select r.state from registration r where r.agent_id = why.agent_id and r.generator_id = s.generator_id) = 'registered'
  group by why.agent_id, why.stack_id`;

/** The agents and stacks that a change concerns; null means all of them. */
export interface Scope {
  readonly agents: readonly string[] | null;
  readonly stacks: readonly string[] | null;
}

/** Limit of stacks that one agent serves: a pull without a digest returns all of them. */
const maxPlacementsOfAgent = 10_000;

/**
 * Makes the placements in scope follow the matching rules: new matches become active placements, lost ones become removals, each with
 * a new generation. Call it after every change of labels, annotations, selectors, targets or registrations, under the locks of
 * `lock-store.ts`, which must have been taken in statements of their own. Returns how many placements changed. RESOURCE_EXHAUSTED
 * when an agent would serve more than 10,000 stacks.
 */
export async function updatePlacements(tx: Tx, scope: Scope, removalReason: string): Promise<number> {
  const [row] = await tx.sql<{ gained: string[]; changed: number }>(updateSql, [
    scope.agents,
    scope.stacks,
    removalReason,
  ]);
  const agentIds = row?.gained ?? [];
  await requireCapacity(tx, agentIds);
  await updateServiceAccounts(tx, agentIds);
  return row?.changed ?? 0;
}

// The join leaves out rows that do not change: the conflict clause alone would lock, and so write, each of them. `not in` uses a hash
// table for the lost rows; an anti-join may become a nested loop.
const updateSql = `
  with m as materialized (${matchSql}),
  gained as (
    insert into placement as p (agent_id, stack_id, state, generation, reasons)
    select m.agent_id, m.stack_id, 'active', nextval('order_seq'), m.reasons
    from m left join placement old on old.agent_id = m.agent_id and old.stack_id = m.stack_id
    where old.agent_id is null or old.state = 'removing' or old.reasons is distinct from m.reasons
    on conflict (agent_id, stack_id) do update set
      state = 'active', reasons = excluded.reasons, removal_reason = '', held = false, updated_at = now(),
      generation = case when p.state = 'removing' then excluded.generation else p.generation end
    returning agent_id
  ), lost as (
    update placement p set state = 'removing', generation = nextval('order_seq'), removal_reason = $3, reasons = '[]',
      held = false, updated_at = now()
    where p.state = 'active' and ${agentInScope('p.agent_id')} and ${stackInScope('p.stack_id')}
      and (p.agent_id, p.stack_id) not in (select m.agent_id, m.stack_id from m)
    returning 1
  )
  select array(select distinct agent_id from gained) as gained,
    ((select count(*) from gained) + (select count(*) from lost))::int as changed`;

/**
 * Copies the service accounts of registrations to the active placements of these agents. A removal keeps the account that it had,
 * because it outlives the registration.
 */
export async function updateServiceAccounts(tx: Tx, agentIds: readonly string[]): Promise<void> {
  if (agentIds.length === 0) return;
  await tx.sql(
    `update placement p set service_account = r.service_account, updated_at = now()
     from stack s, registration r
     where p.agent_id = any($1) and p.state = 'active' and s.id = p.stack_id and r.agent_id = p.agent_id
       and r.generator_id = s.generator_id and p.service_account <> r.service_account`,
    [agentIds],
  );
}

async function requireCapacity(tx: Tx, agentIds: readonly string[]): Promise<void> {
  if (agentIds.length === 0) return;
  const [full] = await tx.sql<{ name: string }>(
    `select a.name from agent a
     where a.id = any($1) and exists (select from placement p where p.agent_id = a.id and p.state = 'active' offset $2) limit 1`,
    [agentIds, maxPlacementsOfAgent],
  );
  if (!full) return;
  throw new Refusal('resource_exhausted', `agent "${full.name}" would serve more than ${maxPlacementsOfAgent} stacks`, {
    reason: 'TOO_MANY_PLACEMENTS',
  });
}
