import type { Sql, Tx } from '../store/database.ts';

/** Number of advisory locks that generators share: an agent with a thousand registrations must not fill the lock table. */
const stripes = 128;

/**
 * Locks agents, in order of their ids. This is the first lock of every change on the agent side: labels, annotations, registrations,
 * targets, deletion, acknowledgements.
 */
export async function lockAgents(tx: Sql, agentIds: readonly string[]): Promise<void> {
  await tx.sql('select from agent where id = any($1) order by id for no key update', [agentIds]);
}

/**
 * Takes the second lock: the generators concerned, shared on the agent side and exclusive on the stack side. Stripes are locked in
 * ascending order, so that two changes cannot deadlock.
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

/** Takes the third lock, which only the stack side needs: stacks, in order of their ids. */
export async function lockStacks(tx: Tx, stackIds: readonly string[]): Promise<void> {
  await tx.sql('select from stack where id = any($1) order by id for no key update', [stackIds]);
}

/** Takes the agent side's locks for everything that an agent serves: the agent, then its generators and `moreGenerators`. */
export async function lockAgentSide(tx: Tx, agentId: string, moreGenerators: readonly string[] = []): Promise<void> {
  await lockAgents(tx, [agentId]);
  // Registrations change only under the agent's row lock, so this list stays true.
  const rows = await tx.sql<{ generatorId: string }>(
    `select generator_id as "generatorId" from registration where agent_id = $1
     union select s.generator_id from placement p join stack s on s.id = p.stack_id where p.agent_id = $1`,
    [agentId],
  );
  await lockGenerators(tx, [...rows.map((row) => row.generatorId), ...moreGenerators], 'shared');
}
