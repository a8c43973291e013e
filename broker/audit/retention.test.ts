import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';
import type { Tx } from '../store/database.ts';
import { createDay } from './partition-store.ts';
import { createAuditDays, dropAuditDays } from './retention.ts';
import { sealAll, verifyChain } from './seal.ts';

const test = await startTestBroker();
/** Each test has an installation of its own, without a broker that seals. */
let schemas = 0;
const open = () => openMigrated({ ...test.config, databaseSchema: `retention${++schemas}` });

const retention = suite('retention of the record');
retention.after(() => test.close());

const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);
const write = (tx: Pick<Tx, 'sql'>, ago: number, action: string) =>
  tx.sql(
    `insert into audit (at, actor_role, actor_name, key_short, action, object_kind, object_id, object_name, source, request_id, outcome)
     values ($1::timestamptz, 'operator', 'o', '', $2, '', '', '', '', '', 'done')`,
    [`${day(ago)} 12:00:00+00`, action],
  );

type Db = Awaited<ReturnType<typeof open>>;
const actions = async (db: Db) =>
  (await db.sql<{ action: string }>('select action from audit order by id')).map(({ action }) => action);
const partitions = async (db: Db) =>
  (
    await db.sql<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit'::regclass order by 1`,
    )
  ).map(({ name }) => name);
const problem = async (db: Db) => (await verifyChain(db, new AbortController().signal)).problem;

retention('drops whole days, keeps their closing hash, and the chain still fits', async () => {
  const db = await open();
  try {
    for (const ago of [40, 39, 38, 20]) await db.transact((tx) => createDay(tx, day(ago), day(ago - 1)));
    for (const ago of [40, 38, 20, 0]) {
      for (const at of [1, 2]) await write(db, ago, `${ago}-${at}`);
      await sealAll(db);
    }
    const closing = await db.sql<{ sequence: string; hash: Buffer }>(
      'select sequence, hash from audit_seal where day = $1 order by sequence desc limit 1',
      [day(38)],
    );
    assert.is(await dropAuditDays(db, 30), 1);
    assert.equal(await actions(db), ['20-1', '20-2', '0-1', '0-2']);
    assert.equal(await db.sql('select sequence, hash from audit_base'), closing);
    assert.is(await problem(db), '');
    // A day without entries goes too.
    const left = await partitions(db);
    for (const ago of [40, 39, 38]) assert.not.ok(left.includes(`audit_${day(ago).replaceAll('-', '')}`));
    assert.is(await dropAuditDays(db, 30), 0);
    await write(db, 0, 'later');
    await sealAll(db);
    assert.is(await problem(db), '');
    // The next dropped partition replaces the hash.
    assert.is(await dropAuditDays(db, 10), 1);
    assert.equal(await actions(db), ['0-1', '0-2', 'later']);
    assert.is(await problem(db), '');
  } finally {
    await db.close();
  }
});

retention('notices a change after days were dropped', async () => {
  const db = await open();
  try {
    await db.transact((tx) => createDay(tx, day(40), day(39)));
    for (const ago of [40, 0]) {
      await write(db, ago, String(ago));
      await sealAll(db);
    }
    await dropAuditDays(db, 30);
    await db.sql(`update audit_base set hash = sha256('x')`);
    assert.match(await problem(db), 'does not follow');
  } finally {
    await db.close();
  }
});

retention('drops no day of which something waits for a seal', async () => {
  const db = await open();
  try {
    await db.transact((tx) => createDay(tx, day(40), day(39)));
    await write(db, 40, 'sealed');
    await sealAll(db);
    await write(db, 40, 'waits');
    assert.is(await dropAuditDays(db, 30), 0);
    assert.equal(await actions(db), ['sealed', 'waits']);
    await sealAll(db);
    assert.is(await dropAuditDays(db, 30), 1);
    assert.equal(await actions(db), []);
  } finally {
    await db.close();
  }
});

retention('drops days that were sealed across each other around midnight, together', async () => {
  const db = await open();
  try {
    for (const ago of [40, 39, 5]) await db.transact((tx) => createDay(tx, day(ago), day(ago - 1)));
    for (const [ago, action] of [
      [40, 'a'],
      [39, 'b'],
      // Committed past midnight.
      [40, 'late'],
      [39, 'c'],
      [5, 'kept'],
    ] as const) {
      await write(db, ago, action);
      await sealAll(db);
    }
    assert.is(await problem(db), '');
    // The older day alone is not the chain's beginning: nothing goes before both may.
    assert.is(await dropAuditDays(db, 39), 0);
    assert.is((await actions(db)).length, 5);
    assert.is(await dropAuditDays(db, 30), 1);
    assert.equal(await actions(db), ['kept']);
    assert.is(await problem(db), '');
  } finally {
    await db.close();
  }
});

retention('also drops what came when its day had no partition, and makes the days that are missing', async () => {
  const db = await open();
  try {
    await write(db, 40, 'rest');
    await sealAll(db);
    await write(db, 0, 'kept');
    await sealAll(db);
    assert.is(await dropAuditDays(db, 30), 1);
    assert.equal(await actions(db), ['kept']);
    assert.is(await problem(db), '');
    await db.sql('delete from audit').then(
      () => assert.unreachable('still append-only'),
      (error: unknown) => assert.match(String(error), /only ever added/),
    );
    const [row] = await db.sql<{ trigger: string }>(
      `select string_agg(tgenabled, '') as trigger from pg_trigger where tgrelid = 'audit_rest'::regclass and not tgisinternal`,
    );
    assert.match(row?.trigger ?? '', /^O+$/, 'its triggers are on again');
  } finally {
    await db.close();
  }
});

retention('goes on after a day of which entries came too early', async () => {
  const db = await open();
  try {
    // No broker ran for days: the partitions of now are missing, and an operator's command writes first.
    for (const name of (await partitions(db)).filter((one) => one !== 'audit_rest')) await db.sql(`drop table ${name}`);
    await write(db, 0, 'early');
    assert.is(await createAuditDays(db), 3);
    assert.is(await createAuditDays(db), 0);
    await write(db, -1, 'tomorrow');
    await sealAll(db);
    await sealAll(db);
    assert.is(await problem(db), '');
    const [row] = await db.sql<{ name: string }>(
      `select tableoid::regclass::text as name from audit where action = 'tomorrow'`,
    );
    assert.match(row?.name ?? '', /^audit_2/);
  } finally {
    await db.close();
  }
});

retention('of an installation that is opened again has a partition for today', async () => {
  const db = await open();
  const schema = `retention${schemas}`;
  for (const name of (await partitions(db)).filter((one) => one !== 'audit_rest')) await db.sql(`drop table ${name}`);
  await db.close();
  const again = await openMigrated({ ...test.config, databaseSchema: schema });
  try {
    assert.ok((await partitions(again)).includes(`audit_${day(0).replaceAll('-', '')}`));
  } finally {
    await again.close();
  }
});

retention.run();
