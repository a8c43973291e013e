import { Refusal } from '../refusal.ts';
import type { Sql, Tx } from '../store/database.ts';
import type { NewAgent } from './create.ts';
import type { EnrollmentRow } from './enrollment-rules.ts';

export async function insertEnrollment(tx: Tx, pakId: string, agent: NewAgent): Promise<void> {
  await tx.sql(
    'insert into enrollment (pak_id, description, labels, annotations, generators) values ($1, $2, $3, $4, $5)',
    [pakId, agent.description, agent.labels, JSON.stringify(agent.annotations), agent.generators],
  );
}

/** Serialises callers with the same token. Returns the id of the agent that it has created, if there is one. */
export async function lockEnrollment(tx: Tx, pakId: string): Promise<string | null> {
  const [row] = await tx.sql<{ agentId: string | null }>(
    'select agent_id as "agentId" from enrollment where pak_id = $1 for update',
    [pakId],
  );
  return row?.agentId ?? null;
}

export async function readEnrollment(tx: Tx, pakId: string): Promise<EnrollmentRow> {
  const [row] = await tx.sql<EnrollmentRow>(
    `select k.name, e.description, e.labels, e.annotations, e.generators, e.nonce, e.agent_id as "agentId",
       coalesce(st.incarnation, 0) > 0 as started
     from enrollment e join pak k on k.id = e.pak_id left join agent_status st on st.agent_id = e.agent_id
     where e.pak_id = $1`,
    [pakId],
  );
  if (!row) throw new Refusal('not_found', 'enrollment not found');
  return row;
}

export async function markUsed(tx: Tx, pakId: string, nonce: Buffer, agentId: string): Promise<void> {
  await tx.sql('update enrollment set nonce = $2, agent_id = $3 where pak_id = $1', [pakId, nonce, agentId]);
}

/** Answers whether an agent that is not being deleted has the name. */
export async function isNameTaken(db: Sql, name: string): Promise<boolean> {
  return (await db.sql('select 1 from agent where name = $1 and deleted_at is null', [name])).length > 0;
}
