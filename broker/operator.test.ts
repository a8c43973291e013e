import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectBroker } from '../client/client.ts';
import { startPostgres } from '../sandbox/postgres/postgres.ts';
import { startTestBroker } from '../test/broker.ts';
import { assertNoKeys } from '../test/no-keys.ts';
import { runProgram } from '../test/tools/command.ts';
import { openMigrated } from './open-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'brokkr-operator-'));
const postgres = await startPostgres({ dataDir: join(folder, 'data'), fsync: false });
const key = randomBytes(32);
const env = {
  BROKKR_DATABASE_URL: postgres.url,
  BROKKR_DATABASE_SCHEMA: 'operated',
  BROKKR_ENCRYPTION_KEY: key.toString('base64'),
};
const keyFile = (name: string) => join(folder, name);
const run = (args: string, more: Record<string, string> = {}) =>
  runProgram('broker/main.ts', args.split(' '), { env: { ...env, ...more } });
const output: string[] = [];
const done = async (args: string, more: Record<string, string> = {}) => {
  const ended = await run(args, more);
  output.push(ended.stdout, ended.stderr);
  assert.is(ended.code, 0, `${args}: ${ended.stderr}`);
};
const config = { databaseUrl: postgres.url, databaseSchema: 'operated', encryptionKeys: [key] };
async function recordedActions(): Promise<string[]> {
  const db = await openMigrated(config);
  try {
    const rows = await db.sql<{ text: string }>(
      `select actor_role || ' ' || action || ' ' || object_kind as text from audit order by id`,
    );
    return rows.map(({ text }) => text);
  } finally {
    await db.close();
  }
}

const operator = suite('commands of operators');
operator.after(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

operator('are recorded, and print a key only where they deliver it', async () => {
  await done('migrate');
  assert.equal(await recordedActions(), []);
  await done('init', { BROKKR_ADMIN_PAK_FILE: keyFile('first') });
  // The second time there is nothing to create.
  await done('init', { BROKKR_ADMIN_PAK_FILE: keyFile('again') });
  await done('rotate-admin', { BROKKR_ADMIN_PAK_FILE: keyFile('second') });
  await done('rotate-admin --name deputy --overlap-hours 1', { BROKKR_ADMIN_PAK_FILE: keyFile('deputy') });
  await done('re-encrypt');
  await done('restored');
  assert.equal(await recordedActions(), [
    'operator first-admin pak',
    'operator rotate-admin pak',
    'operator rotate-admin pak',
    'operator re-encrypt installation',
    'operator restored installation',
  ]);
  for (const name of ['first', 'second', 'deputy']) assert.is(statSync(keyFile(name)).mode & 0o777, 0o600);
  assertNoKeys(output);
  assert.not.match(output.join(''), env.BROKKR_ENCRYPTION_KEY);
});

operator('keep the old key when the new one cannot be delivered', async () => {
  const before = await recordedActions();
  writeFileSync(keyFile('taken'), 'something');
  const places: Record<string, string>[] = [
    {},
    { BROKKR_ADMIN_PAK_FILE: keyFile('taken') },
    { BROKKR_ADMIN_PAK_FILE: '/nowhere/key' },
  ];
  for (const more of places) {
    const ended = await run('rotate-admin', more);
    assert.is(ended.code, 1);
    assert.match(ended.stderr, 'BROKKR_ADMIN_PAK_FILE');
    assertNoKeys([ended.stdout, ended.stderr]);
  }
  assert.equal(await recordedActions(), before);
  const test = await startTestBroker({ postgres, config: { ...config, databaseSchema: 'operated' } });
  try {
    const read = (name: string) => readFileSync(keyFile(name), 'utf8').trim();
    const whoIs = async (pak: string) => {
      const client = connectBroker({ url: test.url, pak });
      try {
        return (await client.broker.whoAmI({})).name;
      } finally {
        client.close();
      }
    };
    assert.is(await whoIs(read('second')), 'admin');
    assert.is(await whoIs(read('deputy')), 'deputy');
    await whoIs(read('first')).then(
      () => assert.unreachable('the first key has ended'),
      (error: unknown) => assert.match(String(error), 'the key is not valid'),
    );
  } finally {
    await test.close();
  }
});

operator('refuse invalid encryption keys without printing them', async () => {
  const short = randomBytes(16).toString('base64');
  const repeated = Buffer.alloc(32, 7).toString('base64');
  const word = 'hunter2-hunter2-hunter2-hunter2-hunter2-hunter2';
  for (const [bad, place] of [
    [short, 1],
    [repeated, 1],
    [word, 1],
    [`${key.toString('base64')},${short}`, 2],
    [`${key.toString('base64')}, ${repeated}`, 2],
  ] as const) {
    const ended = await run('migrate', { BROKKR_ENCRYPTION_KEY: bad });
    assert.is(ended.code, 1, bad);
    assert.match(ended.stderr, `BROKKR_ENCRYPTION_KEY: key ${place} is not`);
    for (const part of bad.split(/, ?/)) assert.not.ok((ended.stdout + ended.stderr).includes(part.slice(0, 12)));
  }
});

operator('name a missing encryption key by its id only', async () => {
  const db = await openMigrated(config);
  try {
    const sealed = db.cipher.seal(Buffer.alloc(32), Buffer.from('x'));
    await db.sql('insert into manifest (checksum, key_id, data) values ($1, $2, $3)', [
      Buffer.alloc(32),
      sealed.keyId,
      sealed.data,
    ]);
  } finally {
    await db.close();
  }
  for (const value of ['', randomBytes(32).toString('base64')]) {
    const ended = await run('migrate', { BROKKR_ENCRYPTION_KEY: value });
    assert.is(ended.code, 1);
    assert.match(ended.stderr, 'BROKKR_ENCRYPTION_KEY: does not list key');
    assert.not.match(ended.stderr, env.BROKKR_ENCRYPTION_KEY);
  }
  // The position of the key in the list does not matter.
  await done('migrate', {
    BROKKR_ENCRYPTION_KEY: `${randomBytes(32).toString('base64')},${env.BROKKR_ENCRYPTION_KEY}`,
  });
});

operator.run();
