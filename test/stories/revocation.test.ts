import { setTimeout as delay } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createUses } from '../../broker/access/last-used.ts';
import { openMigrated } from '../../broker/open-store.ts';
import { SessionHint } from '../../gen/brokkr/v1/target_state_pb.ts';
import { eventually, refused, startTestBroker } from '../broker.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const story = suite('the end of a key');
story.after(async () => {
  await sql.end();
  await test.close();
});

let names = 0;
/**
 * Creates an agent's key that both brokers know, with a long poll and a session at each, and reports how each of them
 * ends.
 */
async function busyKey() {
  const name = `a${++names}`;
  const { pak, agent } = await admin.createAgent({ name });
  const ends: string[] = [];
  const holders = test.urls.map((url) => test.client(pak, { url, timeoutMs: 100_000 }));
  const { incarnation } = await (holders[0] as (typeof holders)[0]).agent.startAgent({ clusterId: 'c' });
  for (const { agent: service } of holders) {
    const { digest } = await eventually(() => service.pullTargetState({ incarnation }));
    const poll = service.pullTargetState({ incarnation, digest, wait: { seconds: 90n } });
    void poll.then(
      () => ends.push('poll answered'),
      (error: { code: number }) => ends.push(Code[error.code] ?? ''),
    );
    const ready = Promise.withResolvers<void>();
    void (async () => {
      let last: SessionHint | undefined;
      for await (const { hint } of service.session(hello(incarnation))) {
        last = hint;
        ready.resolve();
      }
      ends.push(last === SessionHint.KEY_REVOKED ? 'told' : 'ended');
    })().catch(() => ends.push('cut off'));
    await ready.promise;
  }
  return { name, id: agent?.id ?? '', ends, holders };
}
async function* hello(incarnation: bigint) {
  yield { message: { case: 'hello' as const, value: { incarnation } } };
  await delay(60_000, undefined, { ref: false });
}
async function allEnd({ ends, holders }: Awaited<ReturnType<typeof busyKey>>, withinMs: number): Promise<void> {
  const began = performance.now();
  await eventually(() => ends.length === 4, withinMs);
  process.stdout.write(`  ended after ${Math.round(performance.now() - began)} ms\n`);
  assert.equal([...ends].sort(), ['Unauthenticated', 'Unauthenticated', 'told', 'told']);
  for (const { broker } of holders) await refused(broker.whoAmI({}), Code.Unauthenticated, 'the key is not valid');
}

story('reaches both brokers, and ends streams and long polls', async () => {
  const busy = await busyKey();
  const { paks } = await admin.listPaks({ owner: busy.name });
  await admin.revokePak({ pak: paks[0]?.id });
  await allEnd(busy, 10_000);
});

story('reaches both brokers although its NOTIFY is lost', async () => {
  const busy = await busyKey();
  await sql.query('begin');
  await sql.query('update pak set revoked_at = now() where agent_id = $1', [busy.id]);
  await sql.query(`insert into change (kind, ref) select 'key', id from pak where agent_id = $1`, [busy.id]);
  await sql.query('commit');
  await allEnd(busy, 60_000);
});

story('reaches both brokers although they had lost their listening connections', async () => {
  const busy = await busyKey();
  const { paks } = await admin.listPaks({ owner: busy.name });
  await Promise.all([
    sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where pid <> pg_backend_pid() and (query like '%left join change%' or query like 'listen brokkr_%')`,
    ),
    admin.revokePak({ pak: paks[0]?.id }),
  ]);
  await allEnd(busy, 60_000);
});

story('by expiry ends streams and long polls without a notification', async () => {
  const busy = await busyKey();
  // As in a rotation with an overlap.
  await admin.rotateAgentPak({ agent: busy.name, overlap: { seconds: 2n } });
  await allEnd(busy, 30_000);
});

story('by deleting its agent ends streams and long polls', async () => {
  const busy = await busyKey();
  await admin.deleteAgent({ agent: busy.name });
  await allEnd(busy, 30_000);
});

story('is not delayed by its use, which the brokers record together once a minute', async () => {
  const { agent } = await admin.createAgent({ name: 'used' });
  const db = await openMigrated(test.config);
  const { rows } = await sql.query<{ id: string }>('select id from pak where agent_id = $1', [agent?.id]);
  const keyId = rows[0]?.id ?? '';
  const { rows: clock } = await sql.query<{ now: Date }>('select now() as now');
  let now = (clock[0]?.now ?? new Date()).getTime();
  const log = { warn: (...words: unknown[]) => assert.unreachable(String(words)) } as never;
  const seen = async (at: number) => {
    now = at;
    // Both brokers see the key in use, and each writes that as it closes.
    for (const uses of [createUses(db, log, () => new Date(now)), createUses(db, log, () => new Date(now + 5))]) {
      uses.note(keyId);
      uses.note(keyId);
      await uses.close();
    }
    const found = await sql.query<{ used: Date }>('select last_used_at as used from pak where id = $1', [keyId]);
    return found.rows[0]?.used.getTime();
  };
  try {
    const first = now;
    assert.is(await seen(first), first);
    assert.is(await seen(first + 30_000), first);
    assert.is(await seen(first + 59_000), first);
    assert.is(await seen(first + 60_000), first + 60_000);
    assert.is(await seen(first + 61_000), first + 60_000);
  } finally {
    await db.close();
  }
});

story.run();
