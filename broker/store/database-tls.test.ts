import { chownSync, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startPostgres } from '../../sandbox/postgres/postgres.ts';
import { startTestBroker } from '../../test/broker.ts';
import { makeAuthority } from '../../test/tools/certificates.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-database-tls-'));
const postgres = await startPostgres({ dataDir, fsync: false });
const watcher = new pg.Client({ connectionString: postgres.url });
await watcher.connect();
const authority = await makeAuthority();
const database = suite('a database with TLS');
database.after(async () => {
  await watcher.end();
  await postgres.stop();
  authority.remove();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Makes the server use TLS, with a certificate in its data folder that only its user can read. */
async function turnTlsOn(): Promise<void> {
  const { rows } = await watcher.query<{ folder: string }>(`select current_setting('data_directory') as folder`);
  const folder = rows[0]?.folder ?? '';
  const { uid, gid } = statSync(folder);
  const { certFile, keyFile } = await authority.issue('database');
  for (const [from, name] of [
    [certFile, 'server.crt'],
    [keyFile, 'server.key'],
  ] as const) {
    copyFileSync(from, join(folder, name));
    chownSync(join(folder, name), uid, gid);
  }
  await watcher.query('alter system set ssl = on');
  await watcher.query('select pg_reload_conf()');
}

database('is reached over TLS on every connection when its URL demands it', async () => {
  await turnTlsOn();
  const databaseUrl = `${postgres.url}?sslmode=verify-full&sslrootcert=${authority.caFile}`;
  const test = await startTestBroker({ postgres, config: { databaseUrl } });
  try {
    const { broker } = test.client();
    await broker.createStack({ name: 'shop' });
    await Promise.all(Array.from({ length: 8 }, () => broker.listStacks({})));
    const { rows } = await watcher.query<{ ssl: boolean; count: number }>(
      `select ssl, count(*)::int as count from pg_stat_ssl join pg_stat_activity using (pid)
       where backend_type = 'client backend' and pid <> pg_backend_pid() group by ssl`,
    );
    assert.equal(
      rows.map(({ ssl }) => ssl),
      [true],
    );
    assert.ok((rows[0]?.count ?? 0) >= 3, 'those of both pools, and the one that listens');
  } finally {
    await test.close();
  }
});

database.run();
