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
    namespace: p.string(),
    message: p.string(),
    createdBy: p.string().fieldName('created_by'),
    rollbackOf: p.integer().fieldName('rollback_of').nullable(),
    traceParent: p.string().fieldName('trace_parent'),
  },
});

export const entities = [DeploymentEntity];

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

/** Stores a manifest, encrypted if there is a key; equal manifests are stored once. */
export async function keepManifest(tx: Tx, checksum: Uint8Array, data: Uint8Array): Promise<void> {
  const name = Buffer.from(checksum);
  // The lock keeps the job that purges unused manifests away until a deployment refers to it.
  const lock = () => tx.sql('select 1 from manifest where checksum = $1 for key share', [name]);
  for (let locked = await lock(); locked.length === 0; locked = await lock()) {
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

/**
 * Deletes a stack's oldest deployments beyond `keep`, except the current one and those that a placement is pinned to, and updates the
 * stack's kept bytes.
 */
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

/** Adds the next revision and makes it current. It writes the stack's row, whose lock must be held, and no placement. */
export async function makeCurrent(tx: Tx, deployment: NewDeployment): Promise<DeploymentRow> {
  const id = uuid();
  const [stack] = await tx.sql<{ revision: number }>(
    `update stack set last_revision = last_revision + 1, current_deployment = $2, current_order = nextval('order_seq'),
       version = version + 1, updated_at = now() where id = $1 returning last_revision as revision`,
    [deployment.stackId, id],
  );
  await tx.em.insert(DeploymentEntity, {
    ...deployment,
    id,
    revision: stack?.revision ?? 0,
    checksum: Buffer.from(deployment.checksum),
    kinds: [...deployment.kinds],
  });
  return findDeployment(tx, null, { id });
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
  if (!row) throw new Refusal('not_found', 'deployment not found', { reason: 'NO_SUCH_DEPLOYMENT' });
  return row;
}

/** Reads a stack's current deployment; undefined while nothing was submitted. */
export async function currentDeployment(
  db: Sql,
  { currentDeployment: id }: { readonly currentDeployment: string | null },
): Promise<DeploymentRow | undefined> {
  return id === null ? undefined : findDeployment(db, null, { id });
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

/** Reads the manifest and the default namespace of a stack's current deployment; undefined when there is none. */
export async function currentManifest(
  db: Sql,
  stackId: string,
): Promise<{ checksum: Buffer; data: Buffer; namespace: string } | undefined> {
  const [row] = await db.sql<ManifestRow & { namespace: string }>(
    `select m.checksum, m.key_id as "keyId", m.data, d.namespace from stack s
     join deployment d on d.id = s.current_deployment join manifest m on m.checksum = d.checksum where s.id = $1`,
    [stackId],
  );
  return row && { checksum: row.checksum, data: db.cipher.open(row.checksum, row), namespace: row.namespace };
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

/** Lists the names of the agents that serve a stack, at most `limit`, and counts all of them. */
export async function servingAgents(db: Sql, stackId: string, limit: number): Promise<ServingAgents> {
  const [row] = await db.sql<ServingAgents>(
    `select array(select a.name from placement p join agent a on a.id = p.agent_id
        where p.stack_id = $1 and p.state = 'active' order by 1 limit $2) as names,
       (select count(*)::int from placement where stack_id = $1 and state = 'active') as count`,
    [stackId, limit],
  );
  return row ?? { names: [], count: 0 };
}
