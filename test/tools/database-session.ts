import pg from 'pg';
import type { TestBroker } from '../broker.ts';
import { eventually } from '../broker.ts';

/** Opens a connection to an installation's tables, for statements of a test. The caller ends it. */
export async function openSession(test: TestBroker): Promise<pg.Client> {
  const { databaseSchema } = test.config;
  const client = new pg.Client({ connectionString: test.postgres.url, options: `-c search_path=${databaseSchema}` });
  client.on('error', () => {}); // tests end connections, and the database, on purpose
  await client.connect();
  return client;
}

/** Waits until this many statements wait for a lock. */
export async function blocked(watcher: pg.Client, count: number): Promise<void> {
  await eventually(async () => {
    const { rows } = await watcher.query(
      `select count(*)::int as count from pg_stat_activity where wait_event_type = 'Lock'`,
    );
    return rows[0]?.count >= count;
  });
}
