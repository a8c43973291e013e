import { v7 as uuid } from 'uuid';
import type { ObjectId } from '../../contract/object-key.ts';
import type { Database, Sql, Tx } from '../store/database.ts';
import type { DiagnosticState } from './rules.ts';

/** Time that a diagnostic waits for its answer, and that the answer is kept. */
const lifetimeSql = `interval '15 minutes'`;
/** Time after which the agent gets a claimed diagnostic again, because it may never have received it. */
const claimTimeoutSql = `interval '60 seconds'`;

/** Selects the diagnostics (alias d) that a start of their agent may claim. */
export const isOffered = (incarnation: string) => `(d.expires_at > now() and (d.state = 'pending'
  or d.state = 'claimed' and (d.claimed_by < ${incarnation} or d.claimed_at < now() - ${claimTimeoutSql})))`;

export interface DiagnosticRow {
  readonly id: string;
  readonly agentId: string;
  readonly agent: string;
  readonly stackId: string;
  readonly stack: string;
  readonly object: ObjectId | null;
  readonly state: DiagnosticState;
  readonly message: string;
  readonly report: Buffer | null;
  readonly reportKeyId: string;
  /** The incarnation that claimed it. */
  readonly claimedBy: string | null;
  readonly createdAt: Date;
  readonly completedAt: Date | null;
  readonly expiresAt: Date;
}

const columns = `d.id, d.agent_id as "agentId", a.name as agent, d.stack_id as "stackId", g.name || '/' || s.name as stack, d.object,
  d.state, d.message, d.claimed_by as "claimedBy", d.created_at as "createdAt", d.completed_at as "completedAt",
  d.expires_at as "expiresAt"`;
const joins = `join agent a on a.id = d.agent_id join stack s on s.id = d.stack_id join generator g on g.id = s.generator_id`;

/** Answers whether an agent serves a stack or still has to remove it. */
export async function isPlaced(tx: Tx, agentId: string, stackId: string): Promise<boolean> {
  return (await tx.sql('select 1 from placement where agent_id = $1 and stack_id = $2', [agentId, stackId])).length > 0;
}

/** Counts the unanswered diagnostics of an agent, those about one generator's stacks and all. No other transaction adds one until the end of this one. */
export async function countWaiting(
  tx: Tx,
  agentId: string,
  generatorId: string,
): Promise<{ generator: number; total: number }> {
  await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr diagnostic ' || current_schema() || $1, 0))`, [
    agentId,
  ]);
  const [row] = await tx.sql<{ generator: number; total: number }>(
    `select count(*)::int as total, (count(*) filter (where s.generator_id = $2))::int as generator
     from diagnostic d join stack s on s.id = d.stack_id
     where d.agent_id = $1 and d.state in ('pending', 'claimed') and d.expires_at > now()`,
    [agentId, generatorId],
  );
  return row ?? { generator: 0, total: 0 };
}

/** Inserts a diagnostic, which expires after 15 minutes. Returns its id. */
export async function insertDiagnostic(
  tx: Tx,
  diagnostic: { readonly agentId: string; readonly stackId: string; readonly object: ObjectId | undefined },
): Promise<string> {
  const id = uuid();
  await tx.sql(
    `insert into diagnostic (id, agent_id, stack_id, object, expires_at) values ($1, $2, $3, $4, now() + ${lifetimeSql})`,
    [id, diagnostic.agentId, diagnostic.stackId, diagnostic.object ? JSON.stringify(diagnostic.object) : null],
  );
  return id;
}

/** Finds a diagnostic with its report. An `owner` limits it to the stacks of one generator; null means all. */
export async function findDiagnostic(db: Sql, owner: string | null, id: string): Promise<DiagnosticRow | undefined> {
  const [row] = await db.sql<DiagnosticRow>(
    `select ${columns}, d.report, d.report_key_id as "reportKeyId" from diagnostic d ${joins}
     where ($1::uuid is null or s.generator_id = $1) and d.id = $2 and d.expires_at > now()`,
    [owner, id],
  );
  return row;
}

/** Reads the state alone, for callers that wait for the answer; undefined when the diagnostic has expired. */
export async function readState(db: Database, id: string): Promise<DiagnosticState | undefined> {
  const [row] = await db.read<{ state: DiagnosticState }>(
    'diagnostic-state',
    'select state from diagnostic where id = $1 and expires_at > now()',
    [id],
  );
  return row?.state;
}

/** Answers whether a start of an agent has a diagnostic to claim. */
export async function hasOffer(db: Database, agentId: string, incarnation: bigint): Promise<boolean> {
  const rows = await db.read(
    'diagnostic-offered',
    `select 1 from diagnostic d where d.agent_id = $1 and d.state in ('pending', 'claimed') and ${isOffered('$2')} limit 1`,
    [agentId, incarnation],
  );
  return rows.length > 0;
}

/** Claims the oldest diagnostic on offer; concurrent calls claim different ones. */
export async function claimOldest(tx: Sql, agentId: string, incarnation: bigint): Promise<DiagnosticRow | undefined> {
  const [row] = await tx.sql<DiagnosticRow>(
    `with taken as (
       update diagnostic set state = 'claimed', claimed_by = $2, claimed_at = now() where id = (
         select d.id from diagnostic d
         where d.agent_id = $1 and d.state in ('pending', 'claimed') and ${isOffered('$2')}
         order by d.created_at, d.id limit 1 for update skip locked)
       returning *)
     select ${columns}, null::bytea as report, '' as "reportKeyId" from taken d ${joins}`,
    [agentId, incarnation],
  );
  return row;
}

/** Locks a diagnostic of an agent and reads its state and claim; undefined when it has expired. */
export async function lockDiagnostic(
  tx: Tx,
  agentId: string,
  id: string,
): Promise<Pick<DiagnosticRow, 'state' | 'claimedBy'> | undefined> {
  const [row] = await tx.sql<Pick<DiagnosticRow, 'state' | 'claimedBy'>>(
    'select state, claimed_by as "claimedBy" from diagnostic where id = $1 and agent_id = $2 and expires_at > now() for update',
    [id, agentId],
  );
  return row;
}

/** Stores an answer, encrypted, for 15 minutes. Without a report it says why the agent has none. */
export async function writeAnswer(
  tx: Tx,
  id: string,
  answer: { readonly report: Uint8Array | undefined; readonly message: string },
): Promise<void> {
  const sealed = answer.report && tx.cipher.seal(Buffer.from(id), answer.report);
  await tx.sql(
    `update diagnostic set state = $2, message = $3, report = $4, report_key_id = $5, completed_at = now(), expires_at = now() + ${lifetimeSql}
     where id = $1`,
    [id, sealed ? 'done' : 'failed', answer.message, sealed?.data ?? null, sealed?.keyId ?? ''],
  );
}

/** Decrypts a report; undefined when there is none, or when its key is not configured any more. */
export function openReport(db: Sql, row: DiagnosticRow): Buffer | undefined {
  if (row.report === null) return undefined;
  try {
    return db.cipher.open(Buffer.from(row.id), { keyId: row.reportKeyId, data: row.report });
  } catch {
    return undefined;
  }
}

/** Deletes expired diagnostics. Returns how many. */
export async function deleteExpiredDiagnostics(db: Sql): Promise<number> {
  return (await db.sql('delete from diagnostic where expires_at < now() returning 1')).length;
}
