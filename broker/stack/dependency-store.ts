import type { Tx } from '../store/database.ts';
import type { Dependency } from './rules.ts';

/** Live stacks of a generator, by name or id. True for as long as the generator's exclusive lock is held. */
export async function liveStacks(
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

/** Everything that these stacks depend on, directly or not. */
export async function dependenciesOf(tx: Tx, stackIds: readonly string[]): Promise<Dependency[]> {
  return tx.sql<Dependency>(
    `with recursive reached as (
       select stack_id, depends_on_id from stack_dependency where stack_id = any($1)
       union
       select d.stack_id, d.depends_on_id from reached r join stack_dependency d on d.stack_id = r.depends_on_id)
     select stack_id, depends_on_id from reached`,
    [stackIds],
  );
}

/** Names of live stacks that depend on a stack, the first few. */
export async function dependants(tx: Tx, stackId: string, limit: number): Promise<string[]> {
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
