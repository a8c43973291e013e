import type pg from 'pg';

/** Columns that record when keys and agents were last seen. */
const lastSeenColumns = ['last_used_at', 'last_heartbeat_at', 'session_id', 'session_since', 'session_seen_at'];

/** Computes count and checksum of every table's rows, leaving out last-seen times, denied calls and the tables that jobs write. */
export async function fingerprint(sql: pg.Client): Promise<Record<string, string>> {
  const tables = await sql.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
       and not c.relispartition and c.relname not in ('audit_seal', 'audit_unsealed', 'telemetry_orphan') order by 1`,
  );
  const each = tables.rows.map(
    ({ name }) =>
      `select '${name}' as name, count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' order by t::text)), '') as print
       from (select to_jsonb(x) - '{${lastSeenColumns.join()}}'::text[] as t from "${name}" x) as y
       where t->>'outcome' is distinct from 'denied'`,
  );
  const { rows: prints } = await sql.query<{ name: string; print: string }>(each.join(' union all '));
  return Object.fromEntries(prints.map(({ name, print }) => [name, print]));
}
