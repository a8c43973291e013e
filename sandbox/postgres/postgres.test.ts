import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServerOn } from './data-folder.ts';
import { type Postgres, startPostgres } from './postgres.ts';

const place = mkdtempSync(join(tmpdir(), 'brokkr-postgres-'));
chmodSync(place, 0o755);
const dataDir = join(place, 'database');
const running: Postgres[] = [];
const left: string[] = [];

async function start(options: { dataDir?: string; log?: (line: string) => void } = {}): Promise<Postgres> {
  const database = await startPostgres({ dataDir, fsync: false, ...options });
  running.push(database);
  return database;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const lives = (pid: number) => isServerOn(pid, join(dataDir, 'data'));

async function startElsewhere(): Promise<{ parent: ChildProcess; pid: number }> {
  const script = `import { startPostgres } from ${JSON.stringify(import.meta.resolve('./postgres.ts'))};
    const { pid } = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, fsync: false });
    console.log(String(pid));`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
  return { parent, pid: Number(line.toString()) };
}

const postgres = suite('postgres');

postgres.after.each(async () => {
  for (const database of running.splice(0)) await database.stop();
});

postgres.after(() => {
  for (const folder of [place, ...left]) rmSync(folder, { recursive: true, force: true });
});

postgres('starts with a database of its own', async () => {
  const { url, port } = await start();
  assert.match(url, new RegExp(`^postgres://brokkr:[0-9a-f]+@127.0.0.1:${port}/brokkr$`));
  const [row] = await query(url, "SELECT current_database() AS name, current_setting('TimeZone') AS zone");
  assert.equal(row, { name: 'brokkr', zone: 'UTC' });
  assert.is(statSync(join(dataDir, 'password')).mode & 0o777, 0o600);
});

postgres('refuses a wrong password', async () => {
  const { url } = await start();
  const refused = await query(url.replace(/:[0-9a-f]+@/, ':wrong@'), 'SELECT 1').catch((error: Error) => error.message);
  assert.match(String(refused), 'password authentication failed');
});

postgres('keeps data and port over restarts', async () => {
  const first = await start();
  await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS number');
  await first.restart();
  assert.equal(await query(first.url, 'SELECT number FROM kept'), [{ number: 7 }]);
  first.kill();
  await first.restart();
  assert.equal(await query(first.url, 'SELECT number FROM kept'), [{ number: 7 }]);
  await first.stop();
  const second = await start();
  assert.is(second.url, first.url);
  assert.equal(await query(second.url, 'SELECT number FROM kept'), [{ number: 7 }]);
});

postgres('leaves no process after stop', async () => {
  const database = await start();
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {});
  await client.connect();
  const { pid } = database;
  assert.ok(lives(pid));
  await database.stop();
  assert.not(lives(pid));
  await database.stop();
});

postgres('takes over the server that a killed process left running', async () => {
  const { parent, pid } = await startElsewhere();
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  assert.ok(lives(pid));
  const lines: string[] = [];
  const { url } = await start({ log: (line) => lines.push(line) });
  assert.not(lives(pid));
  assert.equal(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
  assert.match(lines.join(), `process ${pid}`);
});

postgres('lets only one process use a folder', async () => {
  await start();
  const refusal = await start().catch((error: Error) => error.message);
  assert.match(String(refusal), `in use by process ${process.pid}`);
});

postgres('starts despite a stale postmaster.pid and lock', async () => {
  const database = await start();
  await database.stop();
  writeFileSync(join(dataDir, 'data/postmaster.pid'), `${process.pid}\n${join(dataDir, 'data')}\n0\n1\n`);
  writeFileSync(join(dataDir, 'lock'), `${process.pid} 1\n`);
  const { url } = await start();
  assert.equal(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
});

postgres('stops when its signal is aborted', async () => {
  const controller = new AbortController();
  const { pid } = await startPostgres({ dataDir, fsync: false, signal: controller.signal });
  controller.abort();
  for (let wait = 0; lives(pid) && wait < 200; wait++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.not(lives(pid));
});

postgres('uses an empty folder that was made for it', async () => {
  const made = mkdtempSync(join(place, 'made-'));
  const database = await start({ dataDir: made });
  assert.is(database.dataDir, made);
});

if (process.getuid?.() === 0) {
  postgres("leaves a folder with somebody's files in it alone", async () => {
    const full = join(place, 'full');
    mkdirSync(full);
    writeFileSync(join(full, 'file'), '');
    const database = await start({ dataDir: full });
    left.push(database.dataDir);
    assert.match(database.dataDir, /^\/var\/lib\/brokkr\//);
    assert.is(statSync(full).uid, 0);
  });

  postgres('moves out of a folder that only root may enter', async () => {
    const closed = join(place, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const lines: string[] = [];
    const database = await start({ dataDir: join(closed, 'database'), log: (line) => lines.push(line) });
    left.push(database.dataDir);
    assert.match(database.dataDir, /^\/var\/lib\/brokkr\/[0-9a-f]{16}$/);
    assert.match(lines.join(), database.dataDir);
    assert.equal(await query(database.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    assert.is(readFileSync(join(database.dataDir, 'password'), 'utf8').length, 48);
  });
}

postgres.run();
