import type { Tx } from '../store/orm.ts';
import type { Dependency } from './rules.ts';

/**
 * Finds stacks of a generator, by name or id, that are not being deleted. The result stays true while the generator's exclusive lock
 * is held.
 */
export async function findStacks(
  tx: Tx,
  generatorId: string,
  names: readonly string[],
  ids: readonly string[],
): Promise<{ id: string; name: string }[]> {
  return tx.sql<{ id: string; name: string }>(
    `select id, name from stack
     where generator_id = $1 and deleted_at is null and (name = any($2) or id = any($3::uuid[]))`,
    [generatorId, names, ids],
  );
}

/** Replaces what a stack depends on. */
export async function writeDependencies(tx: Tx, stackId: string, dependsOnIds: readonly string[]): Promise<void> {
  await tx.sql('delete from stack_dependency where stack_id = $1 and depends_on_id <> all($2::uuid[])', [
    stackId,
    dependsOnIds,
  ]);
  await tx.sql(
    `insert into stack_dependency (stack_id, depends_on_id) select $1, unnest($2::uuid[]) on conflict do nothing`,
    [stackId, dependsOnIds],
  );
}

/** Returns all dependencies that can be reached from these stacks, direct or not. */
export async function dependenciesOf(tx: Tx, stackIds: readonly string[]): Promise<Dependency[]> {
  return tx.sql<Dependency>(
    `with recursive reached as (
       select stack_id, depends_on_id from stack_dependency where stack_id = any($1)
       union
       select d.stack_id, d.depends_on_id from reached r join stack_dependency d on d.stack_id = r.depends_on_id)
     select stack_id as "stackId", depends_on_id as "dependsOnId" from reached`,
    [stackIds],
  );
}

/** Lists the names of stacks that depend on a stack and are not being deleted, at most `limit`. */
export async function dependantNames(tx: Tx, stackId: string, limit: number): Promise<string[]> {
  const rows = await tx.sql<{ name: string }>(
    `select s.name from stack_dependency d join stack s on s.id = d.stack_id
     where d.depends_on_id = $1 and s.deleted_at is null order by s.name limit $2`,
    [stackId, limit],
  );
  return rows.map((row) => row.name);
}

export async function stackNames(tx: Tx, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await tx.sql<{ id: string; name: string }>('select id, name from stack where id = any($1)', [ids]);
  return new Map(rows.map((row) => [row.id, row.name]));
}
