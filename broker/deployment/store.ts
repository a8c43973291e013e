import { Refusal } from '../refusal.ts';
import type { Sql, Tx } from '../store/database.ts';
import type { DeploymentRow } from './rules.ts';

const columns = `d.id, d.stack_id as "stackId", g.name || '/' || s.name as stack, d.revision, d.checksum, d.size,
  d.object_count as "objectCount", d.namespace, d.message, d.created_by as "createdBy", d.rollback_of as "rollbackOf",
  d.trace_parent as "traceParent", d.created_at as "createdAt", d.id = s.current_deployment as "isCurrent"`;
const from = 'from deployment d join stack s on s.id = d.stack_id join generator g on g.id = s.generator_id';

/** A deployment before it gets its id and revision. */
export interface NewDeployment {
  readonly stackId: string;
  readonly checksum: Uint8Array;
  readonly size: number;
  readonly objectCount: number;
  readonly kinds: readonly string[];
  readonly namespace: string;
  readonly message: string;
  readonly createdBy: string;
  readonly rollbackOf: number | null;
  readonly traceParent: string;
}

interface ManifestRow {
  readonly checksum: Buffer;
  readonly keyId: string;
  readonly data: Buffer;
}

/** Locks and decrypts manifests that the first key did not encrypt, at most `limit`. */
export async function lockStaleManifests(tx: Tx, limit: number): Promise<{ checksum: Buffer; data: Buffer }[]> {
  const rows = await tx.sql<ManifestRow>(
    'select checksum, key_id as "keyId", data from manifest where key_id <> $1 limit $2 for no key update skip locked',
    [tx.cipher.keyId, limit],
  );
  return rows.map(({ checksum, keyId, data }) => ({
    checksum,
    data: tx.cipher.open(checksum, { keyId, data }),
  }));
}

/** Stores the same manifest encrypted with the first key. */
export async function replaceManifest(tx: Tx, checksum: Buffer, data: Buffer): Promise<void> {
  const sealed = tx.cipher.seal(checksum, data);
  await tx.sql(`select set_config('brokkr.reencrypt', 'on', true)`);
  await tx.sql('update manifest set key_id = $2, data = $3 where checksum = $1', [checksum, sealed.keyId, sealed.data]);
}

/** Returns the ids of keys that encrypted a manifest and are not configured: these manifests cannot be read. */
export async function unknownKeys(db: Sql): Promise<string[]> {
  const rows = await db.sql<{ keyId: string }>(
    `select distinct key_id as "keyId" from manifest where key_id <> '' and key_id <> all($1)`,
    [db.cipher.keyIds],
  );
  return rows.map((row) => row.keyId);
}

/**
 * Deletes manifests that nothing refers to, at most `limit`. Returns how many. A manifest that is submitted at the same moment is
 * skipped, or its foreign key fails the transaction.
 */
export async function purgeManifests(tx: Tx, limit: number): Promise<number> {
  const rows = await tx.sql(
    `delete from manifest where checksum in (
       select checksum from manifest m
       where not exists (select from deployment d where d.checksum = m.checksum)
         and not exists (select from placement p where p.manifest = m.checksum)
       limit $1 for update skip locked) returning 1`,
    [limit],
  );
  return rows.length;
}

export type DeploymentRef = { readonly id: string } | { readonly stackId: string; readonly revision: number };

/** Finds a deployment by id or revision (0 means the current one). `owner` limits it to one generator; null means all. NOT_FOUND otherwise. */
export async function findDeployment(db: Sql, owner: string | null, ref: DeploymentRef): Promise<DeploymentRow> {
  const [id, stackId, revision] = 'id' in ref ? [ref.id, null, null] : [null, ref.stackId, ref.revision];
  const [row] = await db.sql<DeploymentRow>(
    `select ${columns} ${from}
     where ($1::uuid is null or s.generator_id = $1) and ($2::uuid is null or d.id = $2) and ($3::uuid is null or d.stack_id = $3)
       and ($4::bigint is null or case when $4 = 0 then d.id = s.current_deployment else d.revision = $4 end) limit 1`,
    [owner, id, stackId, revision],
  );
  if (!row) {
    const message = 'id' in ref ? 'deployment not found' : await missingRevision(db, owner, ref);
    throw new Refusal('not_found', message, { field: 'id' in ref ? 'id' : 'revision', reason: 'NO_SUCH_DEPLOYMENT' });
  }
  return row;
}

/** Says that a stack does not have a revision, and which it has: a generator's quota ends the oldest. */
async function missingRevision(
  db: Sql,
  owner: string | null,
  { stackId, revision }: { readonly stackId: string; readonly revision: number },
): Promise<string> {
  const [kept] = await db.sql<{ first: number | null; last: number | null }>(
    `select min(d.revision) as first, max(d.revision) as last from deployment d join stack s on s.id = d.stack_id
     where d.stack_id = $1 and ($2::uuid is null or s.generator_id = $2)`,
    [stackId, owner],
  );
  if (!kept?.last) return 'deployment not found: nothing was submitted to the stack yet';
  return `revision ${revision} not found: revisions are ${kept.first} to ${kept.last}`;
}

/** Finds the highest revision below the current one; undefined when there is none. */
export async function previousDeployment(db: Sql, stackId: string): Promise<DeploymentRow | undefined> {
  const [row] = await db.sql<DeploymentRow>(
    `select ${columns} ${from} where d.stack_id = $1
       and d.revision < (select c.revision from deployment c where c.id = s.current_deployment) order by d.revision desc limit 1`,
    [stackId],
  );
  return row;
}

export interface DeploymentFilter {
  readonly owner: string | null;
  readonly stackId: string | undefined;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists deployments, newest first, at most `limit`: ids are ordered by time. */
export async function listDeployments(db: Sql, filter: DeploymentFilter): Promise<DeploymentRow[]> {
  return db.sql<DeploymentRow>(
    `select ${columns} ${from}
     where ($1::uuid is null or s.generator_id = $1) and ($2::uuid is null or d.stack_id = $2) and ($3::uuid is null or d.id < $3)
     order by d.id desc limit $4`,
    [filter.owner, filter.stackId ?? null, filter.after?.[0] ?? null, filter.limit],
  );
}

/** Reads and decrypts a manifest. */
export async function manifestData(db: Sql, checksum: Uint8Array): Promise<Buffer> {
  const [row] = await db.sql<ManifestRow>(
    'select checksum, key_id as "keyId", data from manifest where checksum = $1',
    [Buffer.from(checksum)],
  );
  if (!row) throw new Error('a manifest that a deployment refers to is missing');
  return db.cipher.open(row.checksum, row);
}

type Content = Pick<NewDeployment, 'kinds' | 'objectCount' | 'size' | 'namespace'> & { readonly checksum: Buffer };

/** Reads the columns that describe a deployment's content, for a copy of it. */
export async function contentOf(db: Sql, id: string): Promise<Content> {
  const [row] = await db.sql<Content>(
    'select kinds, object_count as "objectCount", size, namespace, checksum from deployment where id = $1',
    [id],
  );
  if (!row) throw new Error('a deployment that was just read is missing');
  return row;
}

export interface ServingAgents {
  /** The first names in order. */
  readonly names: readonly string[];
  readonly count: number;
}
