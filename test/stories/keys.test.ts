// Over 300 lines: every way in which a key begins and ends, on one pair of brokers.
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makePak } from '../../broker/access/pak.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { SessionHint } from '../../gen/brokkr/v1/target_state_pb.ts';
import { startTestAgent } from '../agents.ts';
import { eventually, refused, startTestBroker } from '../broker.ts';
import { assertNoKeys } from '../no-keys.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin, broker } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const invalid = 'the key is not valid';
const now = { seconds: 0n };
/** Clients with one key, one at each broker. */
const holders = (pak: string) => test.urls.map((url) => test.client(pak, { url, timeoutMs: 100_000 }));
const works = async (pak: string) => void (await Promise.all(holders(pak).map((it) => it.broker.whoAmI({}))));
const fails = async (pak: string) => {
  for (const holder of holders(pak)) {
    const error = await refused(holder.broker.whoAmI({}), Code.Unauthenticated, invalid);
    assert.is(error.rawMessage, invalid);
  }
};
const soonFails = (pak: string) => eventually(async () => fails(pak).then(() => true), 20_000);

let names = 0;
const generator = async () => admin.createGenerator({ name: `g${++names}` });
const agent = async () => admin.createAgent({ name: `a${++names}` });

const story = suite('keys');
story.after(async () => {
  await sql.end();
  await test.close();
});

story('an old key keeps working during the overlap, at both brokers', async () => {
  const { pak } = await generator();
  await works(pak);
  const next = await test.client(pak).broker.rotatePak({});
  assert.is.not(next.pak, pak);
  await works(next.pak);
  await works(pak);
});

story('a rotation without overlap ends the old key at both brokers', async () => {
  const { pak } = await generator();
  await works(pak);
  const next = await test.client(pak).broker.rotatePak({ overlap: now });
  await works(next.pak);
  await soonFails(pak);
  await works(next.pak);
});

story('the end of the overlap ends the old key without a notification', async () => {
  const { pak } = await agent();
  await works(pak);
  const next = await test.client(pak).broker.rotatePak({ overlap: { seconds: 2n } });
  await works(pak);
  await soonFails(pak);
  await works(next.pak);
});

story('never more than two keys of one owner work', async () => {
  const { pak } = await generator();
  const second = await test.client(pak).broker.rotatePak({});
  const third = await test.client(second.pak).broker.rotatePak({});
  await soonFails(pak);
  await works(second.pak);
  await works(third.pak);
});

story('an admin rotates the keys of agents and generators', async () => {
  const edge = await agent();
  const ci = await generator();
  await works(edge.pak);
  await works(ci.pak);
  const rotatedEdge = await admin.rotateAgentPak({ agent: edge.agent?.name, overlap: now });
  const rotatedCi = await admin.rotateGeneratorPak({ generator: ci.generator?.name, overlap: now });
  await works(rotatedEdge.pak);
  await works(rotatedCi.pak);
  await soonFails(edge.pak);
  await soonFails(ci.pak);
});

story('a revoked agent key ends its open session and its long poll, at both brokers', async () => {
  const { pak, agent: edge } = await agent();
  const { incarnation } = await test.client(pak).agent.startAgent({ clusterId: 'c' });
  const waits = holders(pak).map(async (holder) => {
    const { digest } = await holder.agent.pullTargetState({ incarnation });
    const poll = refused(
      within(holder.agent.pullTargetState({ incarnation, digest, wait: { seconds: 90n } })),
      Code.Unauthenticated,
      invalid,
    );
    const hints: SessionHint[] = [];
    const ready = Promise.withResolvers<void>();
    const session = (async () => {
      for await (const { hint } of holder.agent.session(hello(incarnation))) {
        hints.push(hint);
        ready.resolve();
      }
    })();
    await ready.promise;
    return { poll, session, hints };
  });
  const opened = await Promise.all(waits);
  const { paks } = await admin.listPaks({ owner: edge?.name });
  assert.is(paks.length, 1);
  await admin.revokePak({ pak: paks[0]?.shortToken });
  for (const { poll, session, hints } of opened) {
    await poll;
    await within(session);
    assert.equal(hints, [SessionHint.READY, SessionHint.KEY_REVOKED]);
  }
  await fails(pak);
});

story('a revoked generator key ends its watches, at both brokers', async () => {
  const { pak, generator: ci } = await generator();
  await test.client(pak).broker.createStack({ name: 'web' });
  const watches = holders(pak).map((holder) => {
    const first = Promise.withResolvers<void>();
    const ended = (async () => {
      for await (const _ of holder.broker.watchStack({ stack: 'web' })) first.resolve();
    })();
    return { first: first.promise, ended: refused(within(ended), Code.Unauthenticated, invalid) };
  });
  await Promise.all(watches.map((watch) => watch.first));
  await admin.rotateGeneratorPak({ generator: ci?.name, overlap: now });
  await Promise.all(watches.map((watch) => watch.ended));
});

story('an admin key ends at its expiry, and its watch with it', async () => {
  const short = await admin.createAdminPak({
    name: 'guest',
    readOnly: true,
    expireTime: timestampFromMs(Date.now() + 3_000),
  });
  await works(short.pak);
  await broker.createStack({ name: 'watched' });
  const watch = (async () => {
    for await (const _ of test.client(short.pak).broker.watchStack({ stack: 'watched' }));
  })();
  await refused(within(watch), Code.Unauthenticated, invalid);
  await soonFails(short.pak);
  await refused(
    admin.createAdminPak({ name: 'late', expireTime: timestampFromMs(Date.now() - 1_000) }),
    Code.InvalidArgument,
    'expire_time',
  );
});

story('the last admin key cannot be revoked, even by two callers at once', async () => {
  // A separate installation, where no other test creates admin keys.
  const other = await startTestBroker({ brokers: 2, postgres: test.postgres });
  try {
    const first = other.client();
    const { shortToken } = await first.broker.whoAmI({});
    await refused(first.admin.revokePak({ pak: shortToken }), Code.FailedPrecondition, 'last admin key');
    // A read-only key cannot restore access.
    await first.admin.createAdminPak({ name: 'reader', readOnly: true });
    await refused(first.admin.revokePak({ pak: shortToken }), Code.FailedPrecondition, 'last admin key');
    // Neither can one that expires.
    const brief = await first.admin.createAdminPak({
      name: 'brief',
      expireTime: timestampFromMs(Date.now() + 3_600_000),
    });
    await refused(first.admin.revokePak({ pak: shortToken }), Code.FailedPrecondition, 'last admin key');
    await first.admin.revokePak({ pak: brief.info?.shortToken });
    const second = await first.admin.createAdminPak({ name: 'second' });
    const results = await Promise.allSettled([
      first.admin.revokePak({ pak: second.info?.shortToken }),
      other.client(second.pak, { url: other.urls[1] }).admin.revokePak({ pak: shortToken }),
    ]);
    assert.is(results.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.match(other.logged.join(''), 'the broker is ready');
  } finally {
    await other.close();
  }
});

story('every kind of bad key gets the same answer, to the byte', async () => {
  const ended = await Promise.all([agent(), generator(), agent(), generator()]);
  const [revoked, expired, deletedAgent, deletedGenerator] = ended;
  for (const { pak } of ended) await works(pak);
  await admin.rotateAgentPak({ agent: revoked.agent?.name, overlap: now });
  await sql.query(`update pak set expires_at = now() - interval '1 day' where generator_id = $1`, [
    expired.generator?.id,
  ]);
  await sql.query(`insert into change (kind, ref) select 'key', id from pak where generator_id = $1`, [
    expired.generator?.id,
  ]);
  await admin.deleteAgent({ agent: deletedAgent.agent?.name });
  await admin.deleteGenerator({ generator: deletedGenerator.generator?.name });
  for (const { pak } of ended) await soonFails(pak);
  const live = await agent();
  await works(live.pak);
  const bad = {
    empty: 'x',
    'no key': 'password',
    mistyped: `${live.pak.slice(0, -8)}${live.pak.at(-8) === 'a' ? 'b' : 'a'}${live.pak.slice(-7)}`,
    cut: live.pak.slice(0, -1),
    'with a role that it has not': withChecksum(live.pak.replace('brokkr_ag', 'brokkr_ad')),
    unknown: makePak('ag').text,
    'an unknown admin': makePak('ad').text,
    'a wrong secret': withChecksum(`${live.pak.slice(0, 18)}_${makePak('ag').text.slice(19)}`),
    revoked: revoked.pak,
    expired: expired.pak,
    'of a deleted agent': deletedAgent.pak,
    'of a deleted generator': deletedGenerator.pak,
    sql: "brokkr_ag'or'1'='1",
  };
  const answers = new Set<string>();
  for (const [kind, pak] of Object.entries(bad)) {
    for (const protocol of ['grpc', 'grpc-web', 'connect'] as const) {
      const error = await refused(test.client(pak, { protocol }).broker.whoAmI({}), Code.Unauthenticated);
      const seen = [...error.metadata].filter(([name]) => name !== 'date' && name !== 'x-request-id').sort();
      assert.is(error.rawMessage, invalid, kind);
      answers.add(JSON.stringify([protocol, error.details, seen]));
    }
  }
  assert.is(answers.size, 3, [...answers].join('\n'));
  await works(live.pak);
});

story('a mutation checks its key again, whatever is cached', async () => {
  const { pak, generator: ci } = await generator();
  const holder = test.client(pak);
  await holder.broker.createStack({ name: 'before' });
  // Without a change row: the brokers are not notified.
  await sql.query('update pak set revoked_at = now() where generator_id = $1', [ci?.id]);
  await refused(holder.broker.createStack({ name: 'after' }), Code.Unauthenticated, invalid);
  await refused(holder.broker.submitDeployment({ stack: 'before', allowEmpty: true }), Code.Unauthenticated, invalid);
  await refused(holder.broker.rotatePak({}), Code.Unauthenticated, invalid);
  const { rows } = await sql.query('select name from stack where generator_id = $1', [ci?.id]);
  assert.equal(rows, [{ name: 'before' }]);
});

story('a report checks its key again, whatever is cached', async () => {
  const { id, client, incarnation } = await startTestAgent(test, { name: 'reporter' });
  const stacks = [{ stackId: randomUUID(), deploymentId: randomUUID(), health: Health.HEALTHY }];
  await client.agent.reportHealth({ incarnation, stacks });
  await sql.query('update pak set revoked_at = now() where agent_id = $1', [id]);
  await refused(client.agent.reportHealth({ incarnation, stacks }), Code.Unauthenticated, invalid);
});

story('only the hash of a key is stored', async () => {
  const { pak } = await agent();
  const { rows } = await sql.query<{ table_name: string }>(
    `select table_name from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'`,
  );
  const secret = pak.split('_')[2] ?? '';
  assert.ok(rows.length > 10);
  for (const { table_name } of rows) {
    const found = await sql.query(`select from "${table_name}" t where t::text like '%' || $1 || '%'`, [secret]);
    assert.is(found.rows.length, 0, table_name);
  }
  const { rows: hashes } = await sql.query<{ hash: string }>('select hash from pak');
  assert.ok(hashes.every(({ hash }) => /^\$argon2id\$v=19\$m=1024,(t=1,p=1|p=1,t=1)\$/.test(hash)));
});

story('the last use of a key is recorded, and listed', async () => {
  const { pak, agent: edge } = await agent();
  await works(pak);
  await eventually(async () => {
    const { paks } = await admin.listPaks({ owner: edge?.name });
    return paks[0]?.lastUseTime !== undefined;
  }, 60_000);
});

story('no key is logged', () => assertNoKeys(test.logged));

story.run();

async function* hello(incarnation: bigint) {
  yield { message: { case: 'hello' as const, value: { incarnation } } };
  await delay(60_000, undefined, { ref: false });
}

/** Appends the matching checksum to a text that looks like a key, by the format in the design. */
function withChecksum(text: string): string {
  const body = text.slice(0, -6);
  let value = BigInt(`0x${createHash('sha256').update(body).digest('hex').slice(0, 16)}`);
  let checksum = '';
  for (let digit = 0; digit < 6; digit += 1, value /= 62n)
    checksum = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'[Number(value % 62n)] + checksum;
  return body + checksum;
}

async function within<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(20_000, undefined, { signal: timer.signal }).then(() => {
    throw new ConnectError('did not end in time', Code.DeadlineExceeded);
  });
  late.catch(() => {});
  return Promise.race([work, late]).finally(() => timer.abort());
}
