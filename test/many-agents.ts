import type { Database } from '../broker/store/orm.ts';

/**
 * Inserts agents by SQL, as if they had been created and started: `many-0001` (or another prefix) and so on, of 10
 * zones and 3 tiers, every 50th offline, every 70th paused, the others online until an hour from now.
 */
export async function makeManyAgents(db: Database, count: number, prefix = 'many'): Promise<void> {
  const like = `${prefix}-%`;
  await db.transact(async (tx) => {
    await tx.sql(
      `insert into agent (id, name, cluster_id, paused)
       select gen_random_uuid(), $2 || '-' || lpad(n::text, 4, '0'), gen_random_uuid()::text, n % 70 = 0
       from generate_series(1, $1::int) n`,
      [count, prefix],
    );
    await tx.sql(
      `insert into agent_status (agent_id, incarnation, last_heartbeat_at, agent_version, kubernetes_version, cluster_reachable)
       select id, 1, case when right(name, 4)::int % 50 = 0 then now() - interval '1 hour' else now() + interval '1 hour' end,
         '0.1.0', 'v1.36.' || right(name, 4)::int % 4, true
       from agent where name like $1`,
      [like],
    );
    await tx.sql(
      `insert into agent_label (agent_id, label)
       select id, 'zone-' || right(name, 4)::int % 10 from agent where name like $1
       union all
       select id, (array['dev', 'staging', 'prod'])[right(name, 4)::int % 3 + 1] from agent where name like $1`,
      [like],
    );
    await tx.sql(
      `insert into registration (agent_id, generator_id, state)
       select agent.id, generator.id, 'registered' from agent, generator where agent.name like $1 and generator.system`,
      [like],
    );
    await tx.sql(`insert into change (kind, ref) select 'agent', id from agent where name like $1 limit 1`, [like]);
  });
}
