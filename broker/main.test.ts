import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectBroker } from '../client/client.ts';
import { startPostgres } from '../sandbox/postgres/postgres.ts';
import { eventually } from '../test/broker.ts';
import { assertNoKeys } from '../test/no-keys.ts';
import { makeAuthority } from '../test/tools/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'brokkr-main-'));
const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-database-'));
const postgres = await startPostgres({ dataDir, fsync: false });

const commands = suite('brokkr-broker');
commands.after(async () => {
  await postgres.stop();
  rmSync(dataDir, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});

let installations = 0;
/** Returns the environment of a new installation on free ports. */
function installation(more: Record<string, string> = {}) {
  installations += 1;
  return {
    BROKKR_DATABASE_URL: postgres.url,
    BROKKR_DATABASE_SCHEMA: `main${installations}`,
    BROKKR_LISTEN: '127.0.0.1:0',
    BROKKR_METRICS_LISTEN: '127.0.0.1:0',
    BROKKR_ADMIN_PAK_FILE: join(folder, `pak${installations}`),
    ...more,
  };
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: Record<string, string | undefined>) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => {
    said.stdout += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    said.stderr += data;
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, ...said })));
  return { child, said, ended };
}

const run = (args: readonly string[], env: Record<string, string | undefined>) => start(args, env).ended;

const lines = (text: string) => text.trim().split('\n').filter(Boolean);
const keyIn = (file: string) => readFileSync(file, 'utf8').trim();

commands('serves until it is stopped, and writes its first key to a file that only its user can read', async () => {
  const env = installation();
  const { child, said, ended } = start([], env);
  const ready = (await eventually(
    () => lines(said.stdout).find((line) => line.includes('is ready')),
    60_000,
  )) as string;
  const { url, metricsUrl } = JSON.parse(ready) as { url: string; metricsUrl: string };
  assert.is(statSync(env.BROKKR_ADMIN_PAK_FILE).mode & 0o777, 0o600);
  const client = connectBroker({ url, pak: keyIn(env.BROKKR_ADMIN_PAK_FILE) });
  assert.is((await client.broker.whoAmI({})).name, 'admin');
  client.close();
  const metrics = await (await fetch(metricsUrl)).text();
  assert.match(metrics, /^brokkr_change_feed_healthy 1$/m);
  assert.match(
    metrics,
    'grpc_server_handled_total{grpc_service="brokkr.v1.BrokerService",grpc_method="WhoAmI",grpc_code="OK"} 1',
  );
  child.kill('SIGTERM');
  const { code, stdout, stderr } = await ended;
  assert.is(code, 0);
  assert.is(stderr, '');
  assertNoKeys(lines(stdout));
  // At the second start there is a key already, so none is created or delivered.
  const again = start(['serve'], { ...env, BROKKR_ADMIN_PAK_FILE: undefined });
  await eventually(() => again.said.stdout.includes('is ready'), 60_000);
  again.child.kill('SIGINT');
  assert.is((await again.ended).code, 0);
});

commands('names all invalid variables together', async () => {
  const { code, stdout, stderr } = await run([], {
    BROKKR_DATABASE_URL: 'mysql://x',
    BROKKR_DATABASE_SCHEMA: 'Bad Schema',
    BROKKR_LISTEN: 'nowhere',
    BROKKR_METRICS_LISTEN: 'x:99999',
    BROKKR_TLS_CERT: '/nothing',
    BROKKR_TLS_CLIENTCA: '/nothing',
    BROKKR_TELEMETRY_RETENTION: '8d',
    BROKKR_WORKERS: '0',
    BROKKR_LOG_LEVEL: 'loud',
  });
  assert.is(code, 1);
  assert.is(stdout, '');
  for (const name of [
    'BROKKR_DATABASE_URL',
    'BROKKR_DATABASE_SCHEMA',
    'BROKKR_LISTEN',
    'BROKKR_METRICS_LISTEN',
    'BROKKR_TLS_CERT and BROKKR_TLS_KEY',
    'BROKKR_TLS_CLIENTCA',
    'BROKKR_TELEMETRY_RETENTION',
    'BROKKR_WORKERS',
    'BROKKR_LOG_LEVEL',
  ])
    assert.match(stderr, `${name}: `);
  assert.match((await run([], {})).stderr, 'BROKKR_DATABASE_URL: is required');
});

commands('says in one line that the database cannot be used', async () => {
  const password = 'topsecret';
  for (const url of [
    `postgres://brokkr:${password}@127.0.0.1:1/brokkr`,
    `postgres://brokkr:${password}@localhost:1/brokkr`,
    `postgres://brokkr:${password}@no-such-host.invalid/brokkr`,
    `${postgres.url.replace(/\/[^/]*$/, '')}/no_such_database`,
  ]) {
    const { code, stderr } = await run(['serve'], installation({ BROKKR_DATABASE_URL: url }));
    assert.is(code, 1, url);
    assert.is(lines(stderr).length, 1, stderr);
    assert.match(stderr, 'brokkr-broker: the database cannot be used: ');
    assert.not.match(stderr, password);
  }
});

commands('says in one line that a port is in use, or a certificate unreadable', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  const garbage = join(folder, 'garbage.pem');
  writeFileSync(garbage, 'garbage');
  const authority = await makeAuthority();
  const { certFile, keyFile } = await authority.issue('broker');
  const cases = [
    [{ BROKKR_LISTEN: `127.0.0.1:${port}` }, String(port)],
    [{ BROKKR_METRICS_LISTEN: `127.0.0.1:${port}` }, String(port)],
    [{ BROKKR_TLS_CERT: '/no/such/file', BROKKR_TLS_KEY: garbage }, '/no/such/file'],
    [{ BROKKR_TLS_CERT: garbage, BROKKR_TLS_KEY: garbage }, garbage],
    [{ BROKKR_TLS_CERT: certFile, BROKKR_TLS_KEY: keyFile, BROKKR_TLS_CLIENT_CA: garbage }, garbage],
    [{ BROKKR_TLS_CERT: certFile, BROKKR_TLS_KEY: (await authority.issue('other')).keyFile }, certFile],
  ] as const;
  try {
    for (const [more, words] of cases) {
      const { code, stderr } = await run(['serve'], installation(more));
      assert.is(code, 1);
      assert.is(lines(stderr).length, 1, stderr);
      assert.match(stderr, words);
    }
  } finally {
    server.close();
    authority.remove();
  }
});

commands('refuses to start when it cannot deliver its first key', async () => {
  const env = { ...installation(), BROKKR_ADMIN_PAK_FILE: undefined };
  for (const command of ['serve', 'init']) {
    const { code, stdout, stderr } = await run([command], env);
    assert.is(code, 1);
    assert.match(stderr, 'BROKKR_ADMIN_PAK_FILE');
    assert.is(lines(stderr).length, 1, stderr);
    assertNoKeys([stdout, stderr]);
  }
  assert.equal(await query(env, 'select from pak'), []);
});

commands('creates no key that it cannot write, and overwrites no file', async () => {
  const env = installation();
  writeFileSync(env.BROKKR_ADMIN_PAK_FILE, 'mine');
  const { code, stderr } = await run(['init'], env);
  assert.is(code, 1);
  assert.match(stderr, 'it exists: move it away first');
  assert.is(keyIn(env.BROKKR_ADMIN_PAK_FILE), 'mine');
  assert.equal(await query(env, 'select from pak'), []);
  const nowhere = { ...env, BROKKR_ADMIN_PAK_FILE: '/no/such/folder/pak' };
  assert.match((await run(['init'], nowhere)).stderr, '/no/such/folder/pak');
});

commands('migrates without creating a key, then creates the first one, once', async () => {
  const env = installation();
  const migrated = await run(['migrate'], env);
  assert.equal([migrated.code, migrated.stdout], [0, 'the database is up to date\n']);
  assert.not(existsSync(env.BROKKR_ADMIN_PAK_FILE));
  assert.is((await run(['init'], env)).code, 0);
  const pak = keyIn(env.BROKKR_ADMIN_PAK_FILE);
  assert.match(pak, /^brokkr_ad/);
  assert.equal([(await run(['init'], env)).code, keyIn(env.BROKKR_ADMIN_PAK_FILE)], [0, pak]);
  assert.is((await query(env, 'select from pak')).length, 1);
});

commands('rotates an admin key, and begins a new epoch after a restore', async () => {
  const env = installation();
  await run(['init'], env);
  const next = { ...env, BROKKR_ADMIN_PAK_FILE: `${env.BROKKR_ADMIN_PAK_FILE}.new` };
  const rotated = await run(['rotate-admin'], next);
  assert.is(rotated.code, 0, rotated.stderr);
  assertNoKeys([rotated.stdout, rotated.stderr]);
  assert.is.not(keyIn(next.BROKKR_ADMIN_PAK_FILE), keyIn(env.BROKKR_ADMIN_PAK_FILE));
  assert.is((await query(env, 'select from pak where revoked_at is null')).length, 1);
  const second = { ...env, BROKKR_ADMIN_PAK_FILE: `${env.BROKKR_ADMIN_PAK_FILE}.second` };
  assert.is((await run(['rotate-admin', '--name', 'second', '--overlap-hours', '2'], second)).code, 0);
  assert.is((await query(env, 'select from pak where revoked_at is null')).length, 2);
  const restored = await run(['restored'], env);
  assert.equal([restored.code, restored.stderr], [0, '']);
  assert.match(restored.stdout, 'epoch 2 has begun');
});

commands('prints its help, and exits with 2 for an unknown command', async () => {
  const help = await run(['--help'], {});
  assert.is(help.code, 0);
  for (const word of ['serve', 'init', 'migrate', 'rotate-admin', 'restored', 'BROKKR_DATABASE_URL', 'BROKKR_WORKERS'])
    assert.match(help.stdout, word);
  const version = await run(['--version'], {});
  assert.equal([version.code, /^\d+\.\d+\.\d+\n$/.test(version.stdout)], [0, true]);
  for (const args of [['nonsense'], ['serve', 'more'], ['--nonsense'], ['rotate-admin', '--overlap-hours', 'x']]) {
    const { code, stderr } = await run(args, installation());
    assert.is(code, 2, args.join(' '));
    assert.is(lines(stderr).length, 1, stderr);
  }
});

commands('starts twice at the same time on an empty database', async () => {
  const env = installation();
  const brokers = [start([], env), start([], { ...env, BROKKR_ADMIN_PAK_FILE: `${env.BROKKR_ADMIN_PAK_FILE}.other` })];
  for (const { said } of brokers)
    await eventually(() => assert.ok(said.stdout.includes('is ready'), said.stderr) === undefined, 60_000);
  assert.is((await query(env, 'select from pak')).length, 1);
  for (const { child } of brokers) child.kill('SIGTERM');
  for (const { ended } of brokers) assert.is((await ended).code, 0);
});

commands.run();

async function query(env: { BROKKR_DATABASE_SCHEMA: string }, text: string): Promise<unknown[]> {
  const client = new pg.Client({
    connectionString: postgres.url,
    options: `-c search_path=${env.BROKKR_DATABASE_SCHEMA}`,
  });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
