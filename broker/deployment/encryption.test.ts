import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';
import { reencrypt } from './reencrypt.ts';

const canary = 'hunter2canary';
const keys = [randomBytes(32), randomBytes(32)] as const;
const test = await startTestBroker({ config: { encryptionKeys: [keys[0]] } });
const { broker } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();
const opened = (encryptionKeys: Buffer[]) => openMigrated({ ...test.config, encryptionKeys });

const secret = (name: string, value = canary) =>
  Buffer.from(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: 'default' },
      stringData: { value, other: canary },
    }),
  );

const encryption = suite('manifests at rest');
encryption.after(async () => {
  await sql.end();
  await test.close();
});

encryption('are read through the API, and nowhere in the database', async () => {
  await broker.createStack({ name: 'web', labels: ['l'] });
  for (const value of ['a', 'b', 'c']) await broker.submitDeployment({ stack: 'web', manifest: secret('s', value) });
  const { manifest } = await broker.getDeployment({ stack: 'web' });
  assert.match(Buffer.from(manifest).toString(), canary);
  const agent = await startTestAgent(test, { name: 'edge', labels: ['l'] });
  const { inline } = await agent.pull();
  assert.match(Buffer.from([...inline.values()][0] ?? []).toString(), canary);
  const { rows: tables } = await sql.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'`,
  );
  for (const { name } of tables) {
    // The text of bytes is hex.
    const { rows } = await sql.query(`select from "${name}" t where t::text ~ $1`, [
      `${canary}|${Buffer.from(canary).toString('hex')}`,
    ]);
    assert.is(rows.length, 0, name);
  }
});

encryption('are nowhere in the files of the database', async () => {
  await sql.query('checkpoint');
  const { rows } = await sql.query<{ path: string }>(`select current_setting('data_directory') as path`);
  const root = rows[0]?.path ?? '';
  let files = 0;
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files += 1;
    const path = join(entry.parentPath, entry.name);
    assert.not.ok(readFileSync(path).includes(canary), path);
  }
  assert.ok(files > 500);
});

encryption('whose bytes were swapped are refused, and stop no other', async () => {
  await broker.createStack({ name: 'other', labels: ['l'] });
  await broker.submitDeployment({ stack: 'other', manifest: secret('t') });
  const agent = await startTestAgent(test, { name: 'edge-2', labels: ['l'] });
  const [web, other] = [await agent.entry('web'), await agent.entry('other')];
  const bytes = async (checksum: Uint8Array) =>
    (await sql.query<{ data: Buffer }>('select data from manifest where checksum = $1', [Buffer.from(checksum)]))
      .rows[0]?.data;
  const own = await bytes(web.checksum);
  await sql.query('set session_replication_role = replica');
  try {
    await sql.query('update manifest set data = $2 where checksum = $1', [
      Buffer.from(web.checksum),
      await bytes(other.checksum),
    ]);
    await refused(broker.getDeployment({ stack: 'web' }), Code.Internal);
    const { inline } = await agent.pull();
    assert.equal([...inline.keys()], [Buffer.from(other.checksum).toString('hex')]);
    const got: string[] = [];
    const stream = async () => {
      const request = { incarnation: agent.incarnation, checksums: [web.checksum, other.checksum] };
      for await (const { checksum } of agent.client.agent.getManifests(request))
        got.push(Buffer.from(checksum).toString('hex'));
    };
    await refused(stream(), Code.NotFound, 'cannot be read');
    assert.equal(got, [Buffer.from(other.checksum).toString('hex')]);
  } finally {
    await sql.query('update manifest set data = $2 where checksum = $1', [Buffer.from(web.checksum), own]);
    await sql.query('set session_replication_role = origin');
  }
  await broker.getDeployment({ stack: 'web' });
});

encryption('are encrypted anew under load: nothing is lost, and the old key is not needed any more', async () => {
  // An operator puts the new key first, and both brokers know both keys meanwhile.
  const rotated = await startTestBroker({
    postgres: test.postgres,
    config: { encryptionKeys: [keys[1], keys[0]], databaseSchema: test.config.databaseSchema },
  });
  // The first admin's key is the first broker's.
  const client = rotated.client(test.adminPak);
  const db = await opened([keys[1], keys[0]]);
  const submitted = new Map<string, string>();
  let busy = true;
  try {
    for (let stack = 0; stack < 4; stack += 1) await client.broker.createStack({ name: `load-${stack}` });
    const load = Array.from({ length: 4 }, async (_, stack) => {
      for (let revision = 0; busy || revision < 5; revision += 1) {
        const value = `${stack}-${revision}`;
        const { deployment } = await client.broker.submitDeployment({
          stack: `load-${stack}`,
          manifest: secret('s', value),
        });
        submitted.set(deployment?.id ?? '', value);
      }
    });
    const [one, two] = await Promise.all([reencrypt(db), reencrypt(db)]);
    busy = false;
    await Promise.all(load);
    assert.ok(one + two >= 4, `${one} + ${two}`);
    await reencrypt(db);
    const { rows } = await sql.query<{ key_id: string }>('select distinct key_id from manifest');
    assert.equal(
      rows.map((row) => row.key_id),
      [db.cipher.keyId],
    );
    for (const [id, value] of submitted) {
      const { manifest } = await client.broker.getDeployment({ id });
      assert.match(Buffer.from(manifest).toString(), `"value":"${value}"`);
    }
  } finally {
    busy = false;
    await db.close();
    await rotated.close();
  }
  const later = await opened([keys[1]]);
  await later.close();
  await opened([keys[0]]).then(
    () => assert.unreachable('the key is missing'),
    (error: unknown) => assert.match(String(error), /does not list key [0-9a-f]{16}/),
  );
});

encryption('cannot be changed but by encrypting the same bytes anew', async () => {
  for (const change of [
    `update manifest set data = 'x'`,
    `update manifest set key_id = ''`,
    `update manifest set checksum = sha256(checksum)`,
  ])
    await sql.query(change).then(
      () => assert.unreachable(change),
      (error: unknown) => assert.match(String(error), 'cannot be changed'),
    );
});

encryption('that other content than their checksum says was put under stop the command', async () => {
  const db = await opened([keys[0], keys[1]]);
  const { rows } = await sql.query<{ checksum: Buffer; data: Buffer; key_id: string }>(
    'select * from manifest limit 1',
  );
  const [row] = rows;
  assert.ok(row);
  await sql.query('set session_replication_role = replica');
  try {
    await sql.query(`update manifest set data = $2, key_id = '' where checksum = $1`, [
      row.checksum,
      Buffer.from('forged'),
    ]);
    await reencrypt(db).then(
      () => assert.unreachable('forged content'),
      (error: unknown) => assert.match(String(error), /has other content than its checksum says/),
    );
  } finally {
    await sql.query('update manifest set data = $2, key_id = $3 where checksum = $1', [
      row.checksum,
      row.data,
      row.key_id,
    ]);
    await sql.query('set session_replication_role = origin');
    await db.close();
  }
});

encryption('never show in the log', async () => {
  await eventually(() => test.logged.length > 0);
  const log = test.logged.join('');
  assert.not.match(log, canary);
  for (const key of keys)
    for (const form of ['hex', 'base64'] as const) assert.not.ok(log.includes(key.toString(form)));
});

encryption.run();
