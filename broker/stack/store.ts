import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import { Refusal } from '../refusal.ts';
import type { Sql, Tx } from '../store/database.ts';
import { refuseDuplicate } from '../store/errors.ts';
import { type Operator, parseStackRef, type Selector, type Settings, type StackRow } from './rules.ts';

const StackEntity = defineEntity({
  name: 'Stack',
  tableName: 'stack',
  properties: {
    id: p.uuid().primary(),
    generatorId: p.uuid().fieldName('generator_id'),
    name: p.string(),
    hasSelector: p.boolean().fieldName('has_selector').default(false),
    matchAll: p.boolean().fieldName('match_all').default(false),
    deletedAt: p.datetime().fieldName('deleted_at').nullable(),
  },
});

const StackTermEntity = defineEntity({
  name: 'StackSelectorTerm',
  tableName: 'stack_selector_term',
  properties: {
    stackId: p.uuid().primary().fieldName('stack_id'),
    position: p.integer().primary(),
    key: p.string(),
    operator: p.string().$type<Operator>().fieldName('op'),
    values: p.array().columnType('text[]').fieldName('vals'),
  },
});

export const entities = [StackEntity, StackTermEntity];

const columns = `s.id, s.generator_id as "generatorId", g.name as generator, s.name, s.on_delete as "onDelete",
  s.has_selector as "hasSelector", s.match_all as "matchAll", s.current_deployment as "currentDeployment", s.drift, s.conflict,
  s.ignored_fields as "ignoredFields", s.force_replace as "forceReplace", d.revision, s.version, s.created_at as "createdAt", s.updated_at as "updatedAt",
  s.deleted_at as "deletedAt",
  array(select label from stack_label where stack_id = s.id order by 1) as labels,
  coalesce((select jsonb_object_agg(key, value) from stack_annotation where stack_id = s.id), '{}') as annotations,
  coalesce((select jsonb_agg(jsonb_build_object('key', key, 'operator', op, 'values', vals) order by position)
    from stack_selector_term where stack_id = s.id), '[]') as terms,
  array(select a.name from target t join agent a on a.id = t.agent_id where t.stack_id = s.id order by 1) as targets,
  array(select n.name from stack_dependency sd join stack n on n.id = sd.depends_on_id where sd.stack_id = s.id order by 1) as "dependsOn"`;

const from = `from stack s join generator g on g.id = s.generator_id left join deployment d on d.id = s.current_deployment`;

/** True for stacks (alias s) that readers see: a deleted one until its last removal is acknowledged. */
export const isStackVisible = `(s.deleted_at is null or exists (select from placement p where p.stack_id = s.id))`;

/**
 * Finds a stack by "name", "generator/name" or id. `owner` limits the search to one generator; null means all. NOT_FOUND for a missing
 * stack and for another generator's. FAILED_PRECONDITION, with the candidates, for a bare name that several generators use.
 */
export async function findStack(db: Sql, owner: string | null, ref: string): Promise<StackRow> {
  const parsed = parseStackRef(ref);
  const [id, generator, name] = 'id' in parsed ? [parsed.id, null, null] : [null, parsed.generator, parsed.name];
  const rows = await db.sql<StackRow>(
    `select ${columns} ${from}
     where ($1::uuid is null or s.generator_id = $1) and ($2::uuid is null or s.id = $2)
       and ($3::text is null or g.name = $3) and ($4::text is null or s.name = $4) and ${isStackVisible}
     order by s.deleted_at is not null, s.id desc limit 20`,
    [owner, id, generator, name],
  );
  const candidates = rows.filter((row) => row.deletedAt === null);
  const [first] = rows;
  if (!first) throw new Refusal('not_found', `stack "${ref}" not found`, { field: 'stack' });
  if (candidates.length > 1) {
    const names = candidates.map((row) => `${row.generator}/${row.name}`).join(', ');
    throw new Refusal('failed_precondition', `stack "${ref}" is not unique: use one of ${names}`, {
      field: 'stack',
      reason: 'AMBIGUOUS_NAME',
    });
  }
  return first;
}

/** Reads a stack; undefined once it is gone from its last agent. */
export async function stackById(db: Sql, id: string): Promise<StackRow | undefined> {
  const [row] = await db.sql<StackRow>(`select ${columns} ${from} where s.id = $1 and ${isStackVisible}`, [id]);
  return row;
}

/** Reads a stack that was just written. */
export async function requireStack(tx: Tx, id: string): Promise<StackRow> {
  const row = await stackById(tx, id);
  if (!row) throw new Error('a stack that was just written is not there');
  return row;
}

export interface StackFilter {
  readonly owner: string | null;
  readonly generator: string;
  readonly label: string;
  readonly showDeleted: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

interface StackInsert {
  readonly generatorId: string;
  readonly name: string;
  readonly settings: Settings;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly selector: Selector | undefined;
}

/** Writes a new stack; the generator's exclusive lock must be held. Returns its id. ALREADY_EXISTS when the name is taken. */
export async function insertStack(tx: Tx, stack: StackInsert): Promise<string> {
  const id = uuid();
  try {
    await tx.em.insert(StackEntity, { id, generatorId: stack.generatorId, name: stack.name });
  } catch (error) {
    refuseDuplicate(error, 'stack_name', `stack "${stack.name}" exists`);
  }
  await writeSettings(tx, id, stack.settings);
  await addLabels(tx, id, stack.labels);
  await setAnnotations(tx, id, stack.annotations);
  if (stack.selector) await writeSelector(tx, id, stack.selector);
  return id;
}

export async function addLabels(tx: Tx, stackId: string, labels: readonly string[]): Promise<void> {
  await tx.sql('insert into stack_label (stack_id, label) select $1, unnest($2::text[]) on conflict do nothing', [
    stackId,
    labels,
  ]);
}

export async function removeLabels(tx: Tx, stackId: string, labels: readonly string[]): Promise<void> {
  await tx.sql('delete from stack_label where stack_id = $1 and label = any($2)', [stackId, labels]);
}

export async function setAnnotations(
  tx: Tx,
  stackId: string,
  annotations: Readonly<Record<string, string>>,
): Promise<void> {
  await tx.sql(
    `insert into stack_annotation (stack_id, key, value) select $1, * from unnest($2::text[], $3::text[])
     on conflict (stack_id, key) do update set value = excluded.value`,
    [stackId, Object.keys(annotations), Object.values(annotations)],
  );
}

export async function removeAnnotations(tx: Tx, stackId: string, keys: readonly string[]): Promise<void> {
  await tx.sql('delete from stack_annotation where stack_id = $1 and key = any($2)', [stackId, keys]);
}

/** Replaces the selector; undefined removes it. */
export async function writeSelector(tx: Tx, stackId: string, selector: Selector | undefined): Promise<void> {
  await tx.em.nativeDelete(StackTermEntity, { stackId });
  const terms = (selector?.terms ?? []).map((term, position) => ({
    ...term,
    values: [...term.values],
    stackId,
    position,
  }));
  if (terms.length > 0) await tx.em.insertMany(StackTermEntity, terms);
  await tx.em.nativeUpdate(
    StackEntity,
    { id: stackId },
    { hasSelector: selector !== undefined, matchAll: selector?.matchAll ?? false },
  );
}

/**
 * Writes the settings that are given. A change of `forceReplace` raises the order of the stack: agents read it with their entries, but
 * their digest does not cover it, so that agents that do not know it compute the same one.
 */
export async function writeSettings(tx: Tx, stackId: string, settings: Partial<Settings>): Promise<void> {
  await tx.sql(
    `update stack set on_delete = coalesce($2, on_delete), drift = coalesce($3, drift), conflict = coalesce($4, conflict),
       ignored_fields = coalesce($5::jsonb, ignored_fields), force_replace = coalesce($6, force_replace),
       current_order = case when $6 <> force_replace then nextval('order_seq') else current_order end where id = $1`,
    [
      stackId,
      settings.onDelete ?? null,
      settings.drift ?? null,
      settings.conflict ?? null,
      settings.ignoredFields ? JSON.stringify(settings.ignoredFields) : null,
      settings.forceReplace ?? null,
    ],
  );
}

/** Increments the version, which is the etag, and the time of the last change. Every change of a stack calls it. */
export async function touchStack(tx: Tx, stackId: string): Promise<void> {
  await tx.sql('update stack set version = version + 1, updated_at = now() where id = $1', [stackId]);
}

export async function markStackDeleted(tx: Tx, stackId: string): Promise<void> {
  await tx.em.nativeUpdate(StackEntity, { id: stackId }, { deletedAt: new Date() });
}

/** Answers whether an agent is registered with a generator. The answer holds only under the agent side's locks. */
export async function isRegistered(tx: Tx, agentId: string, generatorId: string): Promise<boolean> {
  const rows = await tx.sql(
    `select 1 from registration r join agent a on a.id = r.agent_id
     where r.agent_id = $1 and r.generator_id = $2 and r.state = 'registered' and a.deleted_at is null`,
    [agentId, generatorId],
  );
  return rows.length > 0;
}

/** Writes a target; false when it existed. */
export async function insertTarget(tx: Tx, stackId: string, agentId: string): Promise<boolean> {
  const rows = await tx.sql(
    'insert into target (stack_id, agent_id) values ($1, $2) on conflict do nothing returning 1',
    [stackId, agentId],
  );
  return rows.length > 0;
}

/** Deletes a target; false when there was none. */
export async function deleteTarget(tx: Tx, stackId: string, agentId: string): Promise<boolean> {
  const rows = await tx.sql('delete from target where stack_id = $1 and agent_id = $2 returning 1', [stackId, agentId]);
  return rows.length > 0;
}

/** Counts a generator's stacks, those that are being removed included. */
export async function countStacks(tx: Tx, generatorId: string): Promise<number> {
  const [row] = await tx.sql<{ count: number }>('select count(*)::int as count from stack where generator_id = $1', [
    generatorId,
  ]);
  return row?.count ?? 0;
}

/** Deletes the rows of deleted stacks that are no longer placed on any agent. Returns how many. */
export async function purgeStacks(tx: Tx): Promise<number> {
  const rows = await tx.sql(
    `delete from stack s where s.id in (
       select id from stack where deleted_at < now() - interval '1 minute'
         and not exists (select from placement p where p.stack_id = stack.id)
       order by id limit 500 for update skip locked) returning 1`,
  );
  return rows.length;
}
