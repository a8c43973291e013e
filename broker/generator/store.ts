import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import { Refusal } from '../refusal.ts';
import type { Sql, Tx } from '../store/database.ts';
import { refuseDuplicate } from '../store/errors.ts';
import type { GeneratorRow, Policy, Quota } from './rules.ts';

const GeneratorEntity = defineEntity({
  name: 'Generator',
  tableName: 'generator',
  properties: {
    id: p.uuid().primary(),
    name: p.string(),
    description: p.string(),
    registration: p.string().$type<Policy>(),
    deletedAt: p.datetime().fieldName('deleted_at').nullable(),
  },
});

const RegistrationEntity = defineEntity({
  name: 'Registration',
  tableName: 'registration',
  properties: {
    agentId: p.uuid().primary().fieldName('agent_id'),
    generatorId: p.uuid().primary().fieldName('generator_id'),
    state: p.string().$type<'registered' | 'requested'>(),
  },
});

export const entities = [GeneratorEntity, RegistrationEntity];

const columns = `g.id, g.name, g.description, g.registration, g.system, g.version, g.created_at as "createdAt",
  g.deleted_at as "deletedAt", g.allow_namespaces as "allowNamespaces", g.deny_namespaces as "denyNamespaces",
  g.allow_kinds as "allowKinds", g.deny_kinds as "denyKinds", g.cluster_scoped as "clusterScoped",
  g.quota_stacks as "quotaStacks", g.quota_deployments as "quotaDeployments", g.quota_bytes as "quotaBytes",
  (select count(*)::int from stack s where s.generator_id = g.id and s.deleted_at is null) as "stackCount",
  (select count(*)::int from registration r join agent a on a.id = r.agent_id and a.deleted_at is null
    where r.generator_id = g.id and r.state = 'registered') as "agentCount"`;

/** True for generators that readers see: a deleted one until its last stack is gone from every agent. */
const isVisible = '(g.deleted_at is null or exists (select from stack s where s.generator_id = g.id))';

/** Finds a generator by name or id; one that is being deleted comes last. NOT_FOUND otherwise. */
export async function findGenerator(db: Sql, ref: string): Promise<GeneratorRow> {
  const [row] = await db.sql<GeneratorRow>(
    `select ${columns} from generator g where (g.name = $1 or g.id::text = $1) and ${isVisible}
     order by g.deleted_at is not null, g.id desc limit 1`,
    [ref],
  );
  if (!row) throw generatorNotFound(ref);
  return row;
}

/** Reads a generator, deleted or not. NOT_FOUND when it is gone. */
export async function generatorById(db: Sql, id: string): Promise<GeneratorRow> {
  const [row] = await db.sql<GeneratorRow>(`select ${columns} from generator g where g.id = $1`, [id]);
  if (!row) throw generatorNotFound(id);
  return row;
}

/** Returns the id of the generator with a name that is not being deleted. NOT_FOUND otherwise. */
export async function generatorIdByName(db: Sql, name: string): Promise<string> {
  const [row] = await db.sql<{ id: string }>('select id from generator where name = $1 and deleted_at is null', [name]);
  if (!row) throw generatorNotFound(name);
  return row.id;
}

/** Returns the refusal for a missing generator. */
export function generatorNotFound(ref: string): Refusal {
  return new Refusal('not_found', `generator "${ref}" not found`, { field: 'generator' });
}

export interface GeneratorFilter {
  readonly showDeleted: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists generators in order of (name, id), at most `limit`. */
export async function listGenerators(db: Sql, filter: GeneratorFilter): Promise<GeneratorRow[]> {
  return db.sql<GeneratorRow>(
    `select ${columns} from generator g
     where (g.deleted_at is null or ($1 and ${isVisible})) and ($2::text is null or (g.name, g.id) > ($2, $3::uuid))
     order by g.name, g.id limit $4`,
    [filter.showDeleted, filter.after?.[0] ?? null, filter.after?.[1] ?? null, filter.limit],
  );
}

/** Writes a new generator. Returns its id. ALREADY_EXISTS when the name is taken. */
export async function insertGenerator(
  tx: Tx,
  generator: { name: string; description: string; registration: Policy },
): Promise<string> {
  const id = uuid();
  try {
    await tx.em.insert(GeneratorEntity, { id, ...generator });
  } catch (error) {
    refuseDuplicate(error, 'generator_name', `generator "${generator.name}" exists`);
  }
  return id;
}

/** Locks a generator's row, so that its writers follow one another. */
export async function lockGeneratorRow(tx: Tx, id: string): Promise<void> {
  await tx.sql('select from generator where id = $1 for no key update', [id]);
}

/** Writes what is given and increments the version, which is the etag. */
export async function updateGenerator(
  tx: Tx,
  id: string,
  change: { description?: string; registration?: Policy },
): Promise<void> {
  await tx.sql(
    `update generator set description = coalesce($2, description), registration = coalesce($3, registration), version = version + 1
     where id = $1`,
    [id, change.description ?? null, change.registration ?? null],
  );
}

/** Replaces the limits on what a generator may deploy. */
export async function writeLimits(tx: Tx, id: string, limits: GeneratorLimits): Promise<void> {
  await tx.sql(
    `update generator set allow_namespaces = $2, deny_namespaces = $3, allow_kinds = $4, deny_kinds = $5, cluster_scoped = $6
     where id = $1`,
    [id, limits.allowNamespaces, limits.denyNamespaces, limits.allowKinds, limits.denyKinds, limits.clusterScoped],
  );
}

/** Replaces a generator's quota. */
export async function writeQuota(tx: Tx, id: string, quota: Quota): Promise<void> {
  await tx.sql('update generator set quota_stacks = $2, quota_deployments = $3, quota_bytes = $4 where id = $1', [
    id,
    quota.stacks,
    quota.deploymentsPerStack,
    quota.manifestBytes,
  ]);
}

/** Returns the ids of all stacks of a generator, deleted ones included. They stay the same while its exclusive lock is held. */
export async function stackIdsOf(tx: Tx, generatorId: string): Promise<string[]> {
  const rows = await tx.sql<{ id: string }>('select id from stack where generator_id = $1', [generatorId]);
  return rows.map((row) => row.id);
}

/** Marks a generator and its stacks as deleted, and deletes its registrations. Returns the ids of the stacks that are deleted by it. */
export async function markGeneratorDeleted(tx: Tx, id: string): Promise<string[]> {
  await tx.sql('update generator set deleted_at = now(), version = version + 1 where id = $1', [id]);
  await tx.em.nativeDelete(RegistrationEntity, { generatorId: id });
  const rows = await tx.sql<{ id: string }>(
    `update stack set deleted_at = now(), version = version + 1, updated_at = now()
     where generator_id = $1 and deleted_at is null returning id`,
    [id],
  );
  return rows.map((row) => row.id);
}

/** Deletes the rows of deleted generators that have no stack left on any agent. Returns how many. */
export async function purgeGenerators(tx: Tx): Promise<number> {
  const rows = await tx.sql(
    `delete from generator g where g.id in (
       select id from generator where deleted_at < now() - interval '1 minute'
         and not exists (select from stack s where s.generator_id = generator.id)
       order by id limit 500 for update skip locked) returning 1`,
  );
  return rows.length;
}
