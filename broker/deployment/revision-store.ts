import { v7 as uuid } from 'uuid';
import type { GeneratorRules } from '../generator/rules.ts';
import { parseStackRef } from '../stack/rules.ts';
import { findStack } from '../stack/store.ts';
import type { Database, Sql, Transaction } from '../store/database.ts';
import type { DeploymentRow } from './rules.ts';
import type { NewDeployment, ServingAgents } from './store.ts';

/** A stack, and the manifest of its current deployment. */
export interface StackManifest {
  readonly stackId: string;
  /** Undefined while nothing was submitted. */
  readonly manifest: { readonly checksum: Buffer; readonly data: Buffer; readonly namespace: string } | undefined;
}

interface StackManifestRow {
  readonly stackId: string;
  /** Null, like what follows, while nothing was submitted. */
  readonly checksum: Buffer | null;
  readonly keyId: string;
  readonly data: Buffer;
  readonly namespace: string;
}

const stackManifestSql = `
  select s.id as "stackId", m.checksum, m.key_id as "keyId", m.data, d.namespace from stack s
  left join deployment d on d.id = s.current_deployment left join manifest m on m.checksum = d.checksum`;
const ofLiveSql = `${stackManifestSql} where s.deleted_at is null`;

/** Finds a stack as `findStack` does, with its current manifest. */
export async function findStackManifest(db: Database, owner: string | null, ref: string): Promise<StackManifest> {
  const row = (await findLive(db, owner, ref)) ?? (await findAny(db, owner, ref));
  const { stackId, checksum, namespace } = row;
  return { stackId, manifest: checksum ? { checksum, data: db.cipher.open(checksum, row), namespace } : undefined };
}

/**
 * Finds a stack that is not being deleted by the key of an index. Each kind of reference has a statement of its own, because a
 * condition that is left out in some calls would keep the planner from the index.
 */
async function findLive(db: Database, owner: string | null, ref: string): Promise<StackManifestRow | undefined> {
  const parsed = parseStackRef(ref);
  const find = async (name: string, text: string, params: readonly unknown[]) =>
    (await db.read<StackManifestRow>(name, text, params))[0];
  if ('id' in parsed) {
    const byId = `${ofLiveSql} and s.id = $1 and ($2::uuid is null or s.generator_id = $2)`;
    return find('manifest-of-stack-id', byId, [parsed.id, owner]);
  }
  if (parsed.generator !== null) {
    const generator = '(select id from generator where name = $2 and deleted_at is null)';
    const byNames = `${ofLiveSql} and s.name = $1 and s.generator_id = ${generator} and ($3::uuid is null or s.generator_id = $3)`;
    return find('manifest-of-stack-names', byNames, [parsed.name, parsed.generator, owner]);
  }
  // A bare name of an admin may be ambiguous.
  if (owner === null) return undefined;
  return find('manifest-of-stack-name', `${ofLiveSql} and s.name = $1 and s.generator_id = $2`, [parsed.name, owner]);
}

/** Refuses references to what does not exist, and those that are ambiguous. */
async function findAny(db: Database, owner: string | null, ref: string): Promise<StackManifestRow> {
  const { id } = await findStack(db, owner, ref);
  const [row] = await db.read<StackManifestRow>('manifest-of-any-stack', `${stackManifestSql} where s.id = $1`, [id]);
  return row ?? { stackId: id, checksum: null, keyId: '', data: Buffer.alloc(0), namespace: '' };
}

/** Locks a stack, so that its submissions follow one another. Undefined when it is gone. */
export async function lockStackRow(
  tx: Sql,
  owner: string | null,
  id: string,
): Promise<{ readonly deletedAt: Date | null } | undefined> {
  const [row] = await tx.sql<{ deletedAt: Date | null }>(
    `select deleted_at as "deletedAt" from stack
     where id = $1 and ($2::uuid is null or generator_id = $2) for no key update`,
    [id, owner],
  );
  return row;
}

/** The rows on which a new revision of a stack is decided. */
export interface RevisionState {
  readonly stack: string;
  readonly generator: GeneratorRules;
  readonly agents: ServingAgents;
  /** The current deployment; undefined while nothing was submitted. */
  readonly current: DeploymentRow | undefined;
  /** True if the new manifest is stored already; then it is locked, so that the job that purges unused ones leaves it. */
  readonly isStored: boolean;
}

type RevisionStateRow = Omit<RevisionState, 'generator' | 'current'> &
  Omit<GeneratorRules, 'id' | 'name'> & { readonly generatorId: string; readonly generatorName: string } & {
    [K in keyof DeploymentRow]: K extends 'stack' ? string : DeploymentRow[K] | null;
  };

// Two submissions must not each count the generator's bytes without the other: the statement that counts them comes after this lock.
const revisionStateSql = `
  with locked as materialized (
    select from generator where id = (select generator_id from stack where id = $1) and not system for no key update),
  stored as materialized (select from manifest where checksum = $2 for key share)
  select g.name || '/' || s.name as stack, g.id as "generatorId", g.name as "generatorName", g.system,
    g.allow_namespaces as "allowNamespaces", g.deny_namespaces as "denyNamespaces", g.allow_kinds as "allowKinds",
    g.deny_kinds as "denyKinds", g.cluster_scoped as "clusterScoped", g.quota_stacks as "quotaStacks",
    g.quota_deployments as "quotaDeployments", g.quota_bytes as "quotaBytes",
    d.id, d.stack_id as "stackId", d.revision, d.checksum, d.size, d.object_count as "objectCount", d.namespace, d.message,
    d.created_by as "createdBy", d.rollback_of as "rollbackOf", d.trace_parent as "traceParent", d.created_at as "createdAt",
    true as "isCurrent", (select count(*) from locked) as locks, exists (select from stored) as "isStored",
    jsonb_build_object(
      'names', array(select a.name from placement p join agent a on a.id = p.agent_id
        where p.stack_id = $1 and p.state = 'active' order by 1 limit $3),
      'count', (select count(*) from placement where stack_id = $1 and state = 'active')) as agents
  from stack s join generator g on g.id = s.generator_id left join deployment d on d.id = s.current_deployment
  where s.id = $1`;

/**
 * Reads what decides on a new revision, and locks the stack's generator if it has a quota of bytes. The stack must be locked.
 * `checksum` is that of the new manifest; at most `limit` agents are named.
 */
export async function readRevisionState(
  tx: Sql,
  stackId: string,
  checksum: Uint8Array,
  limit: number,
): Promise<RevisionState> {
  const [row] = await tx.sql<RevisionStateRow>(revisionStateSql, [stackId, Buffer.from(checksum), limit]);
  if (!row) throw new Error('a stack that was just locked is missing');
  const { stack, agents, isStored, generatorId, generatorName } = row;
  const current = row.id === null ? undefined : (row as DeploymentRow);
  return { stack, generator: { ...row, id: generatorId, name: generatorName }, agents, current, isStored };
}

/** A revision that was written. */
export interface WrittenRevision {
  readonly id: string;
  readonly revision: number;
  readonly createdAt: Date;
  /** Sum of the manifest bytes that the generator's stacks keep; 0 when they are not counted. */
  readonly keptBytes: string;
}

// Counting costs more the more stacks a generator has, so it is left out for the system generator without a quota. Revisions are
// compared with the row's last one, so that only the deployments that are to be deleted are read.
const writeSql = `
  old as (
    select d.id from stack s join deployment d on d.stack_id = s.id and d.revision <= s.last_revision + 1 - $2::int
    where s.id = $1 and not exists (select from placement p where p.stack_id = $1 and p.pin_deployment = d.id)),
  gone as (delete from deployment d using old where d.id = old.id returning d.id, d.size),
  revised as (
    update stack set last_revision = last_revision + 1, current_deployment = $3, current_order = nextval('order_seq'),
      version = version + 1, updated_at = now(), kept_bytes = kept_bytes + $4 - (select coalesce(sum(size), 0) from gone),
      trimmed_through = greatest(trimmed_through, (select id from gone order by id desc limit 1))
    where id = $1 returning last_revision, generator_id, kept_bytes),
  added as (
    insert into deployment (id, stack_id, revision, checksum, size, object_count, kinds, namespace, message, created_by, rollback_of,
      trace_parent)
    select $3, $1, last_revision, $5::bytea, $4, $6::int, $7::text[], $8, $9, $10, $11::int, $12 from revised
    returning revision, created_at),
  announced as (insert into change (kind, ref) values ('stack', $1))
  select added.revision, added.created_at as "createdAt",
    case when $13::boolean then revised.kept_bytes + coalesce(
      (select sum(o.kept_bytes) from stack o where o.generator_id = revised.generator_id and o.id <> $1), 0) else 0 end::bigint as "keptBytes"
  from added, revised`;

const withManifestSql = `
  with stored as (insert into manifest (checksum, key_id, data) values ($5, $14, $15) on conflict do nothing), ${writeSql}`;
const withoutManifestSql = `with ${writeSql}`;

/**
 * Adds the next revision, makes it current, deletes the stack's revisions beyond the last `keep`, except those that a placement is
 * pinned to, and announces the change. It writes no placement. The locks of `readRevisionState` must be held. `manifest` is stored,
 * encrypted if there is a key; undefined for one that is stored.
 */
export async function writeRevision(
  tx: Transaction,
  deployment: NewDeployment,
  { keep, countBytes, manifest }: { keep: number; countBytes: boolean; manifest: Uint8Array | undefined },
): Promise<WrittenRevision> {
  const id = uuid();
  const checksum = Buffer.from(deployment.checksum);
  const params: unknown[] = [
    deployment.stackId,
    keep,
    id,
    deployment.size,
    checksum,
    deployment.objectCount,
    deployment.kinds,
    deployment.namespace,
    deployment.message,
    deployment.createdBy,
    deployment.rollbackOf,
    deployment.traceParent,
    countBytes,
  ];
  const sealed = manifest && tx.cipher.seal(checksum, manifest);
  const [row] = sealed
    ? await tx.sql<WrittenRevision>(withManifestSql, [...params, sealed.keyId, sealed.data])
    : await tx.sql<WrittenRevision>(withoutManifestSql, params);
  if (!row) throw new Error('a stack that was just locked is missing');
  tx.wakeOnCommit();
  return { ...row, id };
}
