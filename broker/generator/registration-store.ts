import type { Sql, Tx } from '../store/orm.ts';
import type { RegistrationState } from './rules.ts';

export interface RegistrationRow {
  readonly agentId: string;
  readonly agent: string;
  readonly generatorId: string;
  readonly generator: string;
  readonly state: RegistrationState;
  readonly createdAt: Date;
  readonly serviceAccount: string;
}

const columns = `r.agent_id as "agentId", a.name as agent, r.generator_id as "generatorId", g.name as generator, r.state,
  r.created_at as "createdAt", r.service_account as "serviceAccount"`;
const from = 'from registration r join agent a on a.id = r.agent_id join generator g on g.id = r.generator_id';

/** Finds a registration, or a request for one. */
export async function findRegistration(
  tx: Tx,
  agentId: string,
  generatorId: string,
): Promise<RegistrationRow | undefined> {
  const [row] = await tx.sql<RegistrationRow>(
    `select ${columns} ${from} where r.agent_id = $1 and r.generator_id = $2`,
    [agentId, generatorId],
  );
  return row;
}

export interface RegistrationFilter {
  /** Name or id; empty means all. */
  readonly agent: string;
  readonly generator: string;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists registrations in order of (agent's name, generator's name, ids), at most `limit`. */
export async function listRegistrations(db: Sql, filter: RegistrationFilter): Promise<RegistrationRow[]> {
  const [agent, generator, agentId, generatorId] = filter.after ?? [null, null, null, null];
  return db.sql<RegistrationRow>(
    `select ${columns} ${from}
     where ($1 = '' or a.name = $1 or a.id::text = $1) and ($2 = '' or g.name = $2 or g.id::text = $2)
       and ($3::text is null or (a.name, g.name, r.agent_id, r.generator_id) > ($3, $4::text, $5::uuid, $6::uuid))
     order by a.name, g.name, r.agent_id, r.generator_id limit $7`,
    [filter.agent, filter.generator, agent, generator, agentId, generatorId, filter.limit],
  );
}

/**
 * Sets the service account that the agent impersonates for the generator's stacks. It outlives the registration, so that an agent
 * cannot get rid of it by registering again.
 */
export async function writeServiceAccount(
  tx: Tx,
  agentId: string,
  generatorId: string,
  account: string,
): Promise<void> {
  const values = [agentId, generatorId, account];
  await tx.sql('update registration set service_account = $3 where agent_id = $1 and generator_id = $2', values);
  await tx.sql(
    `insert into registration_account (agent_id, generator_id, service_account) values ($1, $2, $3)
     on conflict (agent_id, generator_id) do update set service_account = excluded.service_account`,
    values,
  );
}

/** Writes a registration with the service account that an admin last set for the pair. One that is registered already stays as it is. */
export async function upsertRegistration(
  tx: Tx,
  agentId: string,
  generatorId: string,
  state: RegistrationState,
): Promise<void> {
  await tx.sql(
    `insert into registration as r (agent_id, generator_id, state, service_account)
     values ($1, $2, $3, coalesce(
       (select service_account from registration_account where agent_id = $1 and generator_id = $2), ''))
     on conflict (agent_id, generator_id) do update set state = excluded.state where r.state = 'requested'`,
    [agentId, generatorId, state],
  );
}

/** Deletes a registration and the explicit targets that depend on it. False when there was none. */
export async function deleteRegistration(tx: Tx, agentId: string, generatorId: string): Promise<boolean> {
  const rows = await tx.sql('delete from registration where agent_id = $1 and generator_id = $2 returning 1', [
    agentId,
    generatorId,
  ]);
  await tx.sql(
    'delete from target t using stack s where t.agent_id = $1 and s.id = t.stack_id and s.generator_id = $2',
    [agentId, generatorId],
  );
  return rows.length > 0;
}

/** Registers a new agent with those of the generators that are not being deleted. Returns their number. Their shared locks must be held. */
export async function registerNewAgent(tx: Tx, agentId: string, generatorIds: readonly string[]): Promise<number> {
  const rows = await tx.sql(
    `insert into registration (agent_id, generator_id, state)
     select $1, id, 'registered' from generator where id = any($2) and deleted_at is null returning 1`,
    [agentId, generatorIds],
  );
  return rows.length;
}

/** Returns the ids, by name, of the system generator and of the generators with these names that are not being deleted. */
export async function generatorIds(tx: Tx, names: readonly string[]): Promise<Map<string, string>> {
  const rows = await tx.sql<{ id: string; name: string }>(
    'select id, name from generator where (system or name = any($1)) and deleted_at is null',
    [names],
  );
  return new Map(rows.map((row) => [row.name, row.id]));
}
