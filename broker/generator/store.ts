import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import { Refusal } from '../refusal.ts';
import { refuseDuplicate, type Sql, type Tx } from '../store/orm.ts';
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

const columns = `g.id, g.name, g.description, g.registration, g.system, g.version, g.created_at, g.deleted_at,
  g.allow_namespaces, g.deny_namespaces, g.allow_kinds, g.deny_kinds, g.cluster_scoped, g.quota_stacks, g.quota_deployments, g.quota_bytes,
  (select count(*)::int from stack s where s.generator_id = g.id and s.deleted_at is null) as stack_count,
  (select count(*)::int from registration r join agent a on a.id = r.agent_id and a.deleted_at is null
    where r.generator_id = g.id and r.state = 'registered') as agent_count`;

/** A deleted generator exists for its readers until its last stack is gone from every agent. */
const there = '(g.deleted_at is null or exists (select from stack s where s.generator_id = g.id))';

/** Finds a generator by name or id, a live one first. NOT_FOUND otherwise. */
export async function findGenerator(db: Sql, ref: string): Promise<GeneratorRow> {
  const [row] = await db.sql<GeneratorRow>(
    `select ${columns} from generator g where (g.name = $1 or g.id::text = $1) and ${there}
     order by g.deleted_at is not null, g.id desc limit 1`,
    [ref],
  );
  if (!row) throw missingGenerator(ref);
  return row;
}

/** The generator with an id, deleted or not. */
export async function generatorById(db: Sql, id: string): Promise<GeneratorRow> {
  const [row] = await db.sql<GeneratorRow>(`select ${columns} from generator g where g.id = $1`, [id]);
  if (!row) throw missingGenerator(id);
  return row;
}

/** Returns the id of the live generator with a name. NOT_FOUND otherwise. */
export async function generatorIdByName(db: Sql, name: string): Promise<string> {
  const [row] = await db.sql<{ id: string }>('select id from generator where name = $1 and deleted_at is null', [name]);
  if (!row) throw missingGenerator(name);
  return row.id;
}

export function missingGenerator(ref: string): Refusal {
  return new Refusal('not_found', `generator "${ref}" not found`, { field: 'generator' });
}

export interface GeneratorFilter {
  readonly showDeleted: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Generators in order of (name, id), at most `limit`. */
export async function listGenerators(db: Sql, filter: GeneratorFilter): Promise<GeneratorRow[]> {
  return db.sql<GeneratorRow>(
    `select ${columns} from generator g
     where (g.deleted_at is null or ($1 and ${there})) and ($2::text is null or (g.name, g.id) > ($2, $3::uuid))
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

/** Two writers of a generator's row, one after the other. */
export async function lockGeneratorRow(tx: Tx, id: string): Promise<void> {
  await tx.sql('select from generator where id = $1 for no key update', [id]);
}

/** Writes what is given, and counts the version, which is the etag. */
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

/** Replaces what a generator may deploy. */
export async function writeLimits(tx: Tx, id: string, limits: GeneratorLimits): Promise<void> {
  await tx.sql(
    `update generator set allow_namespaces = $2, deny_namespaces = $3, allow_kinds = $4, deny_kinds = $5, cluster_scoped = $6
     where id = $1`,
    [id, limits.allowNamespaces, limits.denyNamespaces, limits.allowKinds, limits.denyKinds, limits.clusterScoped],
  );
}

/** Replaces how much a generator may keep. */
export async function writeQuota(tx: Tx, id: string, quota: Quota): Promise<void> {
  await tx.sql('update generator set quota_stacks = $2, quota_deployments = $3, quota_bytes = $4 where id = $1', [
    id,
    quota.stacks,
    quota.deploymentsPerStack,
    quota.manifestBytes,
  ]);
}

/** Bytes of the manifests of all deployments that a generator's stacks keep. */
export async function keptBytes(db: Sql, id: string): Promise<bigint> {
  const [row] = await db.sql<{ bytes: string }>(
    'select coalesce(sum(kept_bytes), 0)::bigint as bytes from stack where generator_id = $1',
    [id],
  );
  return BigInt(row?.bytes ?? 0);
}

/** Ids of all stacks of a generator, deleted ones included; true for as long as its exclusive lock is held. */
export async function stacksOf(tx: Tx, generatorId: string): Promise<string[]> {
  const rows = await tx.sql<{ id: string }>('select id from stack where generator_id = $1', [generatorId]);
  return rows.map((row) => row.id);
}

/** Marks a generator and its stacks as deleted, and ends all consents to it. Returns the ids of the stacks that were live. */
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

/** Removes, for good, generators that are deleted and have no stack left on any agent. Returns how many. */
export async function purgeGenerators(tx: Tx): Promise<number> {
  const rows = await tx.sql(
    `delete from generator g where g.id in (
       select id from generator where deleted_at < now() - interval '1 minute'
         and not exists (select from stack s where s.generator_id = generator.id)
       order by id limit 500 for update skip locked) returning 1`,
  );
  return rows.length;
}
