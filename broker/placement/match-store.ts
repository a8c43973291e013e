import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/orm.ts';

const agentInScope = (column: string) => `($1::uuid[] is null or ${column} = any($1))`;
const stackInScope = (column: string) => `($2::uuid[] is null or ${column} = any($2))`;

/**
 * Who serves what: one row (agent_id, stack_id, reasons) for each pair that matches by target, label, annotation or selector and is
 * registered. $1 and $2 limit it to some agents and stacks; null means all. It starts from what two sides share, never from all
 * pairs, so its cost follows the matches; what is asked of each match is a look-up by key, because a join may become a loop over a
 * whole table while the planner's statistics are young.
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

/** What a change of placements concerns: null means all agents, or all stacks. */
export interface Scope {
  readonly agents: readonly string[] | null;
  readonly stacks: readonly string[] | null;
}

/** What an agent may serve, and what one pull has to tell it. */
const placementsOfAgent = 10_000;

/**
 * Makes the placements in scope what the rules say, in set-based statements: new matches become active, lost ones become
 * explicit removals, each with a new generation. Call it only after the locks of this module, taken in statements of their own.
 * Returns how many placements changed. RESOURCE_EXHAUSTED when an agent would serve more than 10,000 stacks.
 */
export async function place(tx: Tx, scope: Scope, removalReason: string): Promise<number> {
  const [row] = await tx.sql<{ gained: string[]; changed: number }>(placeSql, [
    scope.agents,
    scope.stacks,
    removalReason,
  ]);
  const gaining = row?.gained ?? [];
  await refuseFull(tx, gaining);
  await followAccounts(tx, gaining);
  return row?.changed ?? 0;
}

// Rows that stay as they are are left out by the join: the conflict clause alone would lock, and so write, each of them. What is not
// in `m` is asked of a hash table; an anti-join may become a loop in a loop.
const placeSql = `
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

/** Active placements take on the account that the registration names; a removal keeps the last one, as it outlives the registration. */
export async function followAccounts(tx: Tx, agentIds: readonly string[]): Promise<void> {
  if (agentIds.length === 0) return;
  await tx.sql(
    `update placement p set service_account = r.service_account, updated_at = now()
     from stack s, registration r
     where p.agent_id = any($1) and p.state = 'active' and s.id = p.stack_id and r.agent_id = p.agent_id
       and r.generator_id = s.generator_id and p.service_account <> r.service_account`,
    [agentIds],
  );
}

async function refuseFull(tx: Tx, agentIds: readonly string[]): Promise<void> {
  if (agentIds.length === 0) return;
  const [full] = await tx.sql<{ name: string }>(
    `select a.name from agent a
     where a.id = any($1) and exists (select from placement p where p.agent_id = a.id and p.state = 'active' offset $2) limit 1`,
    [agentIds, placementsOfAgent],
  );
  if (!full) return;
  throw new Refusal('resource_exhausted', `agent "${full.name}" would serve more than ${placementsOfAgent} stacks`, {
    reason: 'TOO_MANY_PLACEMENTS',
  });
}

const stripes = 128;

/** First lock of the agent side (labels, annotations, registrations, targets, deletion, acknowledgements). By id, ascending. */
export async function lockAgents(tx: Tx, agentIds: readonly string[]): Promise<void> {
  await tx.sql('select from agent where id = any($1) order by id for no key update', [agentIds]);
}

/**
 * Second lock: the generators concerned. The agent side takes it shared, the stack side exclusive. Reduced to 128 advisory locks,
 * so that an agent with a thousand registrations does not fill the lock table; ascending, so that two sides cannot wait in a ring.
 */
export async function lockGenerators(
  tx: Tx,
  generatorIds: readonly string[],
  mode: 'shared' | 'exclusive',
): Promise<void> {
  const keys = [...new Set(generatorIds.map((id) => Number.parseInt(id.slice(-4), 16) % stripes))].sort(
    (a, b) => a - b,
  );
  const lock = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock';
  await tx.sql(`select ${lock}(hashtext(current_schema() || ' placement'), stripe) from unnest($1::int[]) as stripe`, [
    keys,
  ]);
}

/** Third lock of the stack side. By id, ascending. */
export async function lockStacks(tx: Tx, stackIds: readonly string[]): Promise<void> {
  await tx.sql('select from stack where id = any($1) order by id for no key update', [stackIds]);
}

/** The agent side's locks for everything that an agent serves: the agent, then its generators. */
export async function lockAgentSide(tx: Tx, agentId: string, alsoGenerators: readonly string[] = []): Promise<void> {
  await lockAgents(tx, [agentId]);
  // Registrations change only under the agent's row lock, so this list stays true.
  const rows = await tx.sql<{ generator_id: string }>(
    `select generator_id from registration where agent_id = $1
     union select s.generator_id from placement p join stack s on s.id = p.stack_id where p.agent_id = $1`,
    [agentId],
  );
  await lockGenerators(tx, [...rows.map((row) => row.generator_id), ...alsoGenerators], 'shared');
}
