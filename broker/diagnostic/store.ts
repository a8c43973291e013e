import { v7 as uuid } from 'uuid';
import type { ObjectName } from '../object-name.ts';
import type { Database, Sql, Tx } from '../store/database.ts';
import type { DiagnosticState } from './rules.ts';

/** How long a question waits for its answer, and how long the answer is kept. */
const keep = `interval '15 minutes'`;
/** An agent that has not answered for so long gets the question again: its claim's answer may never have reached it. */
const claimFor = `interval '60 seconds'`;

/** Whether a diagnostic (alias d) is to be offered to a start of its agent. */
export const isOffered = (incarnation: string) => `(d.expires_at > now() and (d.state = 'pending'
  or d.state = 'claimed' and (d.claimed_by < ${incarnation} or d.claimed_at < now() - ${claimFor})))`;

export interface DiagnosticRow {
  readonly id: string;
  readonly agent_id: string;
  readonly agent: string;
  readonly stack_id: string;
  readonly stack: string;
  readonly object: ObjectName | null;
  readonly state: DiagnosticState;
  readonly message: string;
  readonly report: Buffer | null;
  readonly report_key_id: string;
  readonly claimed_by: string | null;
  readonly created_at: Date;
  readonly completed_at: Date | null;
  readonly expires_at: Date;
}

const columns = `d.id, d.agent_id, a.name as agent, d.stack_id, g.name || '/' || s.name as stack, d.object, d.state, d.message,
  d.claimed_by, d.created_at, d.completed_at, d.expires_at`;
const joins = `join agent a on a.id = d.agent_id join stack s on s.id = d.stack_id join generator g on g.id = s.generator_id`;

/** Whether an agent serves a stack, or still has to remove it. */
export async function isPlaced(tx: Tx, agentId: string, stackId: string): Promise<boolean> {
  return (await tx.sql('select 1 from placement where agent_id = $1 and stack_id = $2', [agentId, stackId])).length > 0;
}

/** How many diagnostics wait for an agent, of one generator's stacks and in all. Until the transaction's end nobody else adds one. */
export async function countWaiting(
  tx: Tx,
  agentId: string,
  generatorId: string,
): Promise<{ generator: number; all: number }> {
  await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr diagnostic ' || current_schema() || $1, 0))`, [
    agentId,
  ]);
  const [row] = await tx.sql<{ generator: number; all: number }>(
    `select count(*)::int as all, (count(*) filter (where s.generator_id = $2))::int as generator
     from diagnostic d join stack s on s.id = d.stack_id
     where d.agent_id = $1 and d.state in ('pending', 'claimed') and d.expires_at > now()`,
    [agentId, generatorId],
  );
  return row ?? { generator: 0, all: 0 };
}

/** Writes a question; it expires after 15 minutes. Returns its id. */
export async function insertDiagnostic(
  tx: Tx,
  question: { readonly agentId: string; readonly stackId: string; readonly object: ObjectName | undefined },
): Promise<string> {
  const id = uuid();
  await tx.sql(
    `insert into diagnostic (id, agent_id, stack_id, object, expires_at) values ($1, $2, $3, $4, now() + ${keep})`,
    [id, question.agentId, question.stackId, question.object ? JSON.stringify(question.object) : null],
  );
  return id;
}

/** A diagnostic with its report, for whoever may see its stack: `owner` limits it to one generator's; null means all. */
export async function findDiagnostic(db: Sql, owner: string | null, id: string): Promise<DiagnosticRow | undefined> {
  const [row] = await db.sql<DiagnosticRow>(
    `select ${columns}, d.report, d.report_key_id from diagnostic d ${joins}
     where ($1::uuid is null or s.generator_id = $1) and d.id = $2 and d.expires_at > now()`,
    [owner, id],
  );
  return row;
}

/** The state only, for those who wait for the answer; undefined when it is gone. */
export async function readState(db: Database, id: string): Promise<DiagnosticState | undefined> {
  const [row] = await db.read<{ state: DiagnosticState }>(
    'diagnostic-state',
    'select state from diagnostic where id = $1 and expires_at > now()',
    [id],
  );
  return row?.state;
}

/** Whether there is something for a start of an agent to claim. */
export async function isAsked(db: Database, agentId: string, incarnation: bigint): Promise<boolean> {
  const rows = await db.read(
    'diagnostic-offered',
    `select 1 from diagnostic d where d.agent_id = $1 and d.state in ('pending', 'claimed') and ${isOffered('$2')} limit 1`,
    [agentId, incarnation],
  );
  return rows.length > 0;
}

/** Takes the oldest question that waits; of two that ask at once, each gets another one. */
export async function claimOldest(tx: Sql, agentId: string, incarnation: bigint): Promise<DiagnosticRow | undefined> {
  const [row] = await tx.sql<DiagnosticRow>(
    `with taken as (
       update diagnostic set state = 'claimed', claimed_by = $2, claimed_at = now() where id = (
         select d.id from diagnostic d
         where d.agent_id = $1 and d.state in ('pending', 'claimed') and ${isOffered('$2')}
         order by d.created_at, d.id limit 1 for update skip locked)
       returning *)
     select ${columns}, null::bytea as report, '' as report_key_id from taken d ${joins}`,
    [agentId, incarnation],
  );
  return row;
}

/** The state and claim of an agent's own diagnostic, its row locked; undefined when it is gone. */
export async function lockDiagnostic(
  tx: Tx,
  agentId: string,
  id: string,
): Promise<Pick<DiagnosticRow, 'state' | 'claimed_by'> | undefined> {
  const [row] = await tx.sql<Pick<DiagnosticRow, 'state' | 'claimed_by'>>(
    'select state, claimed_by from diagnostic where id = $1 and agent_id = $2 and expires_at > now() for update',
    [id, agentId],
  );
  return row;
}

/** Writes an answer, sealed; it is kept for 15 minutes from now. Without a report it says that the agent could not find one. */
export async function writeAnswer(
  tx: Tx,
  id: string,
  answer: { readonly report: Uint8Array | undefined; readonly message: string },
): Promise<void> {
  const sealed = answer.report && tx.cipher.seal(Buffer.from(id), answer.report);
  await tx.sql(
    `update diagnostic set state = $2, message = $3, report = $4, report_key_id = $5, completed_at = now(), expires_at = now() + ${keep}
     where id = $1`,
    [id, sealed ? 'done' : 'failed', answer.message, sealed?.data ?? null, sealed?.keyId ?? ''],
  );
}

/** The bytes of a report; undefined without one, or when its key is no longer known. */
export function openReport(db: Sql, row: DiagnosticRow): Buffer | undefined {
  if (row.report === null) return undefined;
  try {
    return db.cipher.open(Buffer.from(row.id), { keyId: row.report_key_id, data: row.report });
  } catch {
    return undefined;
  }
}

/** Forgets what has expired. Returns how many. */
export async function dropExpired(db: Sql): Promise<number> {
  return (await db.sql('delete from diagnostic where expires_at < now() returning 1')).length;
}
