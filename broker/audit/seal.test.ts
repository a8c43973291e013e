import pg from 'pg';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';
import { recordOperator } from './operator.ts';
import { sealAll, startSealer, verifyChain } from './seal.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin } = test.client();
const connect = async () => {
  const client = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await client.connect();
  return client;
};
const sql = await connect();
/** Past the triggers, as somebody who owns the database can. */
const forger = await connect();
await forger.query('set session_replication_role = replica');

const seals = suite('seals');
seals.after(async () => {
  await sql.end();
  await forger.end();
  await test.close();
});

interface SealRow {
  sequence: string;
  ids: string[];
}
const readSeals = async () => (await sql.query<SealRow>('select sequence, ids from audit_seal order by sequence')).rows;
const ids = async () => (await sql.query<{ id: string }>('select id from audit order by id')).rows.map(({ id }) => id);
/** Once nothing is written any more, everything gets sealed. */
const allSealed = () =>
  eventually(async () => {
    const { intact, problem, unsealedEntries } = await admin.verifyAudit({});
    assert.ok(intact, problem);
    return unsealedEntries === 0n;
  }, 20_000);

seals('close every entry once, in order, while eight write and two brokers seal', async () => {
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const client = test.client(undefined, { url: test.urls[writer % 2] });
    for (let at = 0; at < 25; at += 1) await client.admin.createGenerator({ name: `g${writer}-${at}` });
  });
  await Promise.all(writers);
  await allSealed();
  const found = await readSeals();
  assert.equal(
    found.map(({ sequence }) => sequence),
    found.map((_, at) => String(at + 1)),
  );
  for (const seal of found)
    assert.equal(
      seal.ids,
      [...seal.ids].sort((a, b) => Number(a) - Number(b)),
    );
  const sealed = found.flatMap((seal) => seal.ids);
  assert.is(new Set(sealed).size, sealed.length, 'an entry was sealed twice');
  assert.equal(
    [...sealed].sort((a, b) => Number(a) - Number(b)),
    await ids(),
  );
  assert.ok(sealed.length >= 200);
});

seals('are made by one sealer at a time, however many there are', async () => {
  const db = await openMigrated(test.config);
  try {
    const before = (await readSeals()).length;
    await Promise.all(Array.from({ length: 50 }, () => recordOperator(db, 'test')));
    await Promise.all(Array.from({ length: 8 }, () => sealAll(db)));
    await allSealed();
    const found = (await readSeals()).slice(before);
    const sealed = found.flatMap((seal) => seal.ids);
    assert.is(sealed.length, 50);
    assert.is(new Set(sealed).size, 50);
  } finally {
    await db.close();
  }
});

seals('are verified in as many calls as it takes, with the same result', async () => {
  const db = await openMigrated(test.config);
  const { signal } = new AbortController();
  try {
    await recordOperator(db, 'test');
    await sealAll(db);
    const whole = await verifyChain(db, signal);
    let parts = await verifyChain(db, signal, { forMs: 0 });
    assert.ok(parts.more, 'a hundred seals at a time');
    while (parts.more) parts = await verifyChain(db, signal, { from: parts, forMs: 0 });
    assert.equal(parts, whole);
    // A check from the start finds what was forged before the place where this one goes on.
    const end = await verifyChain(db, signal, { from: parts });
    assert.equal(end, whole);
    await verifyChain(db, signal, { from: { ...parts, seal: parts.seal - 1n } }).then(({ problem, brokenSeal }) => {
      assert.is(problem, `seal ${parts.seal} does not follow the one before`);
      assert.is(brokenSeal, parts.seal);
    });
  } finally {
    await db.close();
  }
});

seals('close an entry that commits late, after ones that are newer', async () => {
  const late = await connect();
  try {
    await late.query('begin');
    const { rows } = await late.query<{ id: string }>(
      `insert into audit (actor_role, actor_name, key_short, action, object_kind, object_id, object_name, source, request_id, outcome)
       values ('operator', 'o', '', 'late', '', '', '', '', '', 'done') returning id`,
    );
    const id = rows[0]?.id ?? '';
    await admin.createGenerator({ name: 'newer' });
    await allSealed();
    assert.not.ok((await readSeals()).some((seal) => seal.ids.includes(id)));
    await late.query('commit');
    await allSealed();
    assert.equal((await readSeals()).at(-1)?.ids, [id]);
  } finally {
    await late.end();
  }
});

seals('are shown with the entries that they close', async () => {
  await admin.createGenerator({ name: 'shown' });
  await allSealed();
  const { entries } = await admin.listAuditEntries({ pageSize: 1 });
  assert.is(entries[0]?.action, 'CreateGenerator');
  assert.is(entries[0]?.seal, BigInt((await readSeals()).length));
});

seals('tell their head to the log', async () => {
  // Once a minute; a sealer of its own whose minute is over at once shows what.
  const db = await openMigrated(test.config);
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line) => void lines.push(line) });
  const sealer = startSealer(db, log, { logEveryMs: 0 });
  try {
    await eventually(() => lines.some((line) => line.includes('the record is sealed')), 20_000);
    const { head } = await admin.verifyAudit({});
    assert.match(lines.join(''), Buffer.from(head).toString('hex'));
  } finally {
    await sealer.close();
    await db.close();
  }
});

/** Changes something past the triggers, looks what the verification says, and takes the change back. */
async function tamper(
  change: string,
  params: readonly unknown[],
  expected: { entry?: bigint; seal?: bigint; says: RegExp },
) {
  // The tables as they are, so that taking it back gives the same rows.
  for (const table of ['audit', 'audit_seal', 'audit_unsealed'])
    await forger.query(`create temp table kept_${table} as select * from ${table}`);
  try {
    const { rowCount } = await forger.query(change, [...params]);
    assert.ok((rowCount ?? 0) > 0, 'the forgery changed something');
    const verdict = await admin.verifyAudit({});
    assert.not.ok(verdict.intact, change);
    assert.match(verdict.problem, expected.says);
    if (expected.entry !== undefined) assert.is(verdict.firstBrokenEntry, expected.entry, verdict.problem);
    if (expected.seal !== undefined) assert.is(verdict.firstBrokenSeal, expected.seal, verdict.problem);
  } finally {
    for (const table of ['audit', 'audit_seal', 'audit_unsealed']) {
      await forger.query(`delete from ${table}`);
      const overriding = table === 'audit' ? 'overriding system value' : '';
      await forger.query(`insert into ${table} ${overriding} select * from kept_${table}`);
      await forger.query(`drop table kept_${table}`);
    }
  }
  assert.ok((await admin.verifyAudit({})).intact, 'what was taken back is whole again');
}

seals('show a changed entry, the first of several', async () => {
  const [, second = '', third = ''] = await ids();
  const seal = BigInt((await readSeals()).find((one) => one.ids.includes(second))?.sequence ?? 0);
  for (const column of ['actor_name', 'action', 'object_name', 'source', 'request_id', 'key_short', 'code'])
    await tamper(`update audit set ${column} = 'forged' where id = any($1)`, [[third, second]], {
      entry: BigInt(second),
      seal,
      says: /was changed/,
    });
  await tamper(`update audit set at = at + interval '1 microsecond' where id = $1`, [second], {
    entry: BigInt(second),
    says: /was changed/,
  });
  await tamper(`update audit set at = at - interval '90 days' where id = $1`, [second], {
    entry: BigInt(second),
    says: /was changed/,
  });
  await tamper(`update audit set after_digest = '\\x00' where id = $1`, [second], {
    entry: BigInt(second),
    says: /was changed/,
  });
});

seals('show a removed entry', async () => {
  const [, , third = ''] = await ids();
  await tamper('delete from audit where id >= $1 and id < $1 + 3', [third], {
    entry: BigInt(third),
    says: /is missing/,
  });
});

seals('show a removed seal, with its entries and without', async () => {
  await tamper('delete from audit_seal where sequence = 2', [], { seal: 2n, says: /seal 2 is missing/ });
  await tamper(
    'with gone as (delete from audit_seal where sequence = 2 returning ids) delete from audit using gone where id = any(gone.ids)',
    [],
    { seal: 2n, says: /seal 2 is missing/ },
  );
});

seals('show that the last seal was removed, by the entries that it leaves behind', async () => {
  const last = (await readSeals()).at(-1);
  await tamper('delete from audit_seal where sequence = $1', [last?.sequence], {
    entry: BigInt(last?.ids[0] ?? 0),
    says: /is in no seal/,
  });
});

seals('show a forged seal, even one that fits its forged entries', async () => {
  await tamper(`update audit_seal set hash = sha256('x') where sequence = 2`, [], {
    seal: 2n,
    says: /seal 2 does not follow/,
  });
  await tamper(
    `update audit_seal set row_hashes = row_hashes || sha256('x'), ids = ids || 1::bigint where sequence = 2`,
    [],
    {
      seal: 2n,
      says: /entry 1 was changed|seal 2/,
    },
  );
  await tamper(
    `update audit_seal set ids = ids[1:1], row_hashes = substr(row_hashes, 1, 32) where sequence = 2 or cardinality(ids) > 1`,
    [],
    {
      says: /does not follow/,
    },
  );
});

seals('show an entry that came past the trigger', async () => {
  const last = BigInt((await ids()).at(-1) ?? 0);
  await tamper(
    `insert into audit (actor_role, actor_name, key_short, action, object_kind, object_id, object_name, source, request_id, outcome)
     values ('ad', 'forged', '', 'CreateStack', '', '', '', '', '', 'done')`,
    [],
    { says: /is in no seal and waits for none/ },
  );
  assert.is(BigInt((await ids()).at(-1) ?? 0), last);
});

seals('show an entry that was removed before it was sealed', async () => {
  const db = await openMigrated(test.config);
  try {
    await recordOperator(db, 'removed');
    const id = (await ids()).at(-1) ?? '';
    const before = (await readSeals()).some((seal) => seal.ids.includes(id));
    await forger.query('delete from audit where id = $1', [id]);
    const verdict = await eventually(async () => {
      const seen = await admin.verifyAudit({});
      return !seen.intact && seen;
    }, 20_000);
    assert.is(verdict.problem, `entry ${id} is missing`, `sealed before: ${before}`);
    assert.is(verdict.firstBrokenEntry, BigInt(id));
    // It is missed for good.
    await eventually(async () => (await admin.verifyAudit({})).firstBrokenSeal > 0n, 20_000);
  } finally {
    await db.close();
  }
});

seals('are not verified longer than somebody waits', async () => {
  const db = await openMigrated(test.config);
  const gone = new AbortController();
  gone.abort(new Error('gone'));
  try {
    await verifyChain(db, gone.signal).then(
      () => assert.unreachable(),
      (error: unknown) => assert.match(String(error), 'gone'),
    );
  } finally {
    await db.close();
  }
});

seals.run();
