import type pg from 'pg';

/** What tells when keys and agents were last seen, and by what. */
const seen = ['last_used_at', 'last_heartbeat_at', 'session_id', 'session_since', 'session_seen_at'];

/** A row that is deleted, or belongs to what is: a job takes it away at some time. */
const isGoing = `t->>'deleted_at' is not null
  or t->>'stack_id' in (select id::text from stack where deleted_at is not null)
  or t->>'generator_id' in (select id::text from generator where deleted_at is not null)`;

/**
 * Count and checksum of every table's rows, apart from when keys and agents were last seen, from the record of denied calls, and from
 * what is deleted and waits to be taken away.
 */
export async function fingerprint(sql: pg.Client): Promise<Record<string, string>> {
  const tables = await sql.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
       and not c.relispartition and c.relname not in ('audit_seal', 'audit_unsealed') order by 1`,
  );
  const each = tables.rows.map(
    ({ name }) =>
      `select '${name}' as name, count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' order by t::text)), '') as print
       from (select to_jsonb(x) - '{${seen.join()}}'::text[] as t from "${name}" x) as y
       where t->>'outcome' is distinct from 'denied' and not coalesce(${isGoing}, false)`,
  );
  const { rows: prints } = await sql.query<{ name: string; print: string }>(each.join(' union all '));
  return Object.fromEntries(prints.map(({ name, print }) => [name, print]));
}
