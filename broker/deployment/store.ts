import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import { Refusal } from '../refusal.ts';
import type { Sql, Tx } from '../store/database.ts';
import type { DeploymentRow } from './rules.ts';

const DeploymentEntity = defineEntity({
  name: 'Deployment',
  tableName: 'deployment',
  properties: {
    id: p.uuid().primary(),
    stackId: p.uuid().fieldName('stack_id'),
    revision: p.integer(),
    checksum: p.blob(),
    size: p.integer(),
    objectCount: p.integer().fieldName('object_count'),
    kinds: p.array().columnType('text[]'),
    message: p.string(),
    createdBy: p.string().fieldName('created_by'),
    rollbackOf: p.integer().fieldName('rollback_of').nullable(),
    traceParent: p.string().fieldName('trace_parent'),
  },
});

export const entities = [DeploymentEntity];

const columns = `d.id, d.stack_id, g.name || '/' || s.name as stack, d.revision, d.checksum, d.size, d.object_count, d.message, d.created_by,
  d.rollback_of, d.trace_parent, d.created_at, d.id = s.current_deployment as current`;
const from = 'from deployment d join stack s on s.id = d.stack_id join generator g on g.id = s.generator_id';

export interface NewDeployment {
  readonly stackId: string;
  readonly checksum: Uint8Array;
  readonly size: number;
  readonly objectCount: number;
  readonly kinds: readonly string[];
  readonly message: string;
  readonly createdBy: string;
  readonly rollbackOf: number | null;
  readonly traceParent: string;
}

/** Keeps a manifest's bytes, encrypted if there is a key; equal bytes are kept once. */
export async function keepManifest(tx: Tx, checksum: Uint8Array, data: Uint8Array): Promise<void> {
  const name = Buffer.from(checksum);
  // Locked, so that the job which removes unused manifests does not take it away before a deployment refers to it.
  const lock = () => tx.sql('select 1 from manifest where checksum = $1 for key share', [name]);
  for (let there = await lock(); there.length === 0; there = await lock()) {
    const sealed = tx.cipher.seal(name, data);
    await tx.sql('insert into manifest (checksum, key_id, data) values ($1, $2, $3) on conflict do nothing', [
      name,
      sealed.keyId,
      sealed.data,
    ]);
  }
}

interface ManifestRow {
  readonly checksum: Buffer;
  readonly key_id: string;
  readonly data: Buffer;
}

/** Manifests that the first key did not encrypt, decrypted and locked, at most `limit`. */
export async function lockStaleManifests(tx: Tx, limit: number): Promise<{ checksum: Buffer; data: Buffer }[]> {
  const rows = await tx.sql<ManifestRow>(
    'select checksum, key_id, data from manifest where key_id <> $1 limit $2 for no key update skip locked',
    [tx.cipher.keyId, limit],
  );
  return rows.map(({ checksum, key_id: keyId, data }) => ({
    checksum,
    data: tx.cipher.open(checksum, { keyId, data }),
  }));
}

/** Writes a manifest's same bytes under the key that encrypts now. */
export async function replaceManifest(tx: Tx, checksum: Buffer, data: Buffer): Promise<void> {
  const sealed = tx.cipher.seal(checksum, data);
  await tx.sql(`select set_config('brokkr.reencrypt', 'on', true)`);
  await tx.sql('update manifest set key_id = $2, data = $3 where checksum = $1', [checksum, sealed.keyId, sealed.data]);
}

/** Keys that manifests are encrypted with and that nobody has configured: their bytes cannot be read. */
export async function unknownKeys(db: Sql): Promise<string[]> {
  const rows = await db.sql<{ key_id: string }>(
    `select distinct key_id from manifest where key_id <> '' and key_id <> all($1)`,
    [db.cipher.keyIds],
  );
  return rows.map((row) => row.key_id);
}

/**
 * Deletes manifests that nothing refers to, at most `limit`; returns how many. One that is taken up at the same moment is skipped, or
 * fails the transaction by its foreign key.
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

/** Forgets a stack's oldest deployments beyond `keep`, never the current one or one that a placement is pinned to; counts what is left. */
export async function trimDeployments(tx: Tx, stackId: string, keep: number): Promise<void> {
  await tx.sql(
    `with old as (
       select d.id from deployment d join stack s on s.id = d.stack_id
       where d.stack_id = $1 and d.id <> s.current_deployment
         and not exists (select from placement p where p.stack_id = $1 and p.pin_deployment = d.id)
       order by d.revision desc offset $2),
     gone as (delete from deployment d using old where d.id = old.id returning d.id, d.size)
     update stack set kept_bytes = (select coalesce(sum(d.size), 0) from deployment d where d.stack_id = $1)
         - (select coalesce(sum(size), 0) from gone),
       trimmed_through = greatest(trimmed_through, (select id from gone order by id desc limit 1))
     where id = $1`,
    [stackId, Math.max(0, keep - 1)],
  );
}

/** Adds the next revision and makes it current: one row of the stack, no row of its placements. The stack's row lock must be held. */
export async function makeCurrent(tx: Tx, deployment: NewDeployment): Promise<DeploymentRow> {
  const id = uuid();
  const [stack] = await tx.sql<{ last_revision: number }>(
    `update stack set last_revision = last_revision + 1, current_deployment = $2, current_order = nextval('order_seq'),
       version = version + 1, updated_at = now() where id = $1 returning last_revision`,
    [deployment.stackId, id],
  );
  await tx.em.insert(DeploymentEntity, {
    ...deployment,
    id,
    revision: stack?.last_revision ?? 0,
    checksum: Buffer.from(deployment.checksum),
    kinds: [...deployment.kinds],
  });
  return findDeployment(tx, null, { id });
}

export type DeploymentRef = { readonly id: string } | { readonly stackId: string; readonly revision: number };

/** One deployment by id or revision (0: the current one), among one generator's or, with null, all. NOT_FOUND otherwise. */
export async function findDeployment(db: Sql, owner: string | null, ref: DeploymentRef): Promise<DeploymentRow> {
  const [id, stackId, revision] = 'id' in ref ? [ref.id, null, null] : [null, ref.stackId, ref.revision];
  const [row] = await db.sql<DeploymentRow>(
    `select ${columns} ${from}
     where ($1::uuid is null or s.generator_id = $1) and ($2::uuid is null or d.id = $2) and ($3::uuid is null or d.stack_id = $3)
       and ($4::bigint is null or case when $4 = 0 then d.id = s.current_deployment else d.revision = $4 end) limit 1`,
    [owner, id, stackId, revision],
  );
  if (!row) throw new Refusal('not_found', 'deployment not found', { reason: 'NO_SUCH_DEPLOYMENT' });
  return row;
}

/** What a stack's agents are to apply; undefined while nothing was submitted. */
export async function currentDeployment(
  db: Sql,
  { current_deployment: id }: { current_deployment: string | null },
): Promise<DeploymentRow | undefined> {
  return id === null ? undefined : findDeployment(db, null, { id });
}

/** The revision before the current one, by number; undefined when there is none. */
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

/** Newest first; ids are time-ordered. */
export async function listDeployments(db: Sql, filter: DeploymentFilter): Promise<DeploymentRow[]> {
  return db.sql<DeploymentRow>(
    `select ${columns} ${from}
     where ($1::uuid is null or s.generator_id = $1) and ($2::uuid is null or d.stack_id = $2) and ($3::uuid is null or d.id < $3)
     order by d.id desc limit $4`,
    [filter.owner, filter.stackId ?? null, filter.after?.[0] ?? null, filter.limit],
  );
}

export async function manifestData(db: Sql, checksum: Uint8Array): Promise<Buffer> {
  const [row] = await db.sql<ManifestRow>('select checksum, key_id, data from manifest where checksum = $1', [
    Buffer.from(checksum),
  ]);
  if (!row) throw new Error('a manifest that a deployment refers to is missing');
  return db.cipher.open(row.checksum, { keyId: row.key_id, data: row.data });
}

/** What a stack's current deployment has; undefined when there is none. */
export async function currentManifest(
  db: Sql,
  stackId: string,
): Promise<{ checksum: Buffer; data: Buffer } | undefined> {
  const [row] = await db.sql<ManifestRow>(
    `select m.checksum, m.key_id, m.data from stack s
     join deployment d on d.id = s.current_deployment join manifest m on m.checksum = d.checksum where s.id = $1`,
    [stackId],
  );
  return row && { checksum: row.checksum, data: db.cipher.open(row.checksum, { keyId: row.key_id, data: row.data }) };
}

/** Kinds and object count of a deployment, for a copy of it. */
export async function contentOf(
  db: Sql,
  id: string,
): Promise<{ kinds: string[]; object_count: number; size: number; checksum: Buffer }> {
  const [row] = await db.sql<{ kinds: string[]; object_count: number; size: number; checksum: Buffer }>(
    'select kinds, object_count, size, checksum from deployment where id = $1',
    [id],
  );
  if (!row) throw new Error('a deployment that was just read is missing');
  return row;
}

/** Names of the agents that serve a stack, at most `limit`, and how many there are. */
export async function servingAgents(
  db: Sql,
  stackId: string,
  limit: number,
): Promise<{ names: string[]; count: number }> {
  const [row] = await db.sql<{ names: string[]; count: number }>(
    `select array(select a.name from placement p join agent a on a.id = p.agent_id
        where p.stack_id = $1 and p.state = 'active' order by 1 limit $2) as names,
       (select count(*)::int from placement where stack_id = $1 and state = 'active') as count`,
    [stackId, limit],
  );
  return row ?? { names: [], count: 0 };
}
