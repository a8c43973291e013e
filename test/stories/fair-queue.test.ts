import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestAgent } from '../agents.ts';
import { eventually, startTestBroker } from '../broker.ts';

const test = await startTestBroker();
const { admin } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const story = suite('a tenant with fifty times the load');
story.after(async () => {
  await sql.end();
  await test.close();
});

async function tenant(name: string) {
  const { pak } = await admin.createGenerator({ name });
  const client = test.client(pak, { timeoutMs: 100_000 });
  await client.broker.createStack({ name: 'web' });
  return client;
}
const loud = await tenant('loud');
const quiet = await tenant('quiet');
const agent = await startTestAgent(test, { name: 'edge' });

story('waits for itself, and delays no other tenant', async () => {
  let ofLoud = 0;
  let ofQuiet = 0;
  const seen: number[] = [];
  const load = Array.from({ length: 450 }, () => loud.broker.getStack({ stack: 'web' }).then(() => (ofLoud += 1)));
  await eventually(() => ofLoud > 0, 60_000);
  // One call after the other, as from a caller that waits for each answer.
  for (let at = 0; at < 9; at += 1) {
    const before = ofLoud;
    await quiet.broker.getStack({ stack: 'web' });
    ofQuiet += 1;
    seen.push(ofLoud - before);
  }
  const left = 450 - ofLoud;
  await Promise.all(load);
  assert.is(ofQuiet, 9);
  assert.ok(left > 0, `the quiet one was done before the loud one: ${seen}`);
  // With first come, first served, each of its calls would wait for hundreds.
  assert.ok(Math.max(...seen) < 100, `answers of the loud one between two of the quiet one: ${seen}`);
});

story('cannot occupy all slots with hanging calls', async () => {
  const stack = (await loud.broker.getStack({ stack: 'web' })).stack?.id;
  // Every change of the stack waits for this lock.
  await sql.query('begin');
  await sql.query('select from stack where id = $1 for update', [stack]);
  const hanging = Array.from({ length: 40 }, (_, at) =>
    loud.broker.updateStack({ stack: 'web', addLabels: [`l${at}`] }),
  );
  try {
    await eventually(async () => {
      const { rows } = await sql.query(`select from pg_stat_activity where wait_event_type = 'Lock'`);
      return rows.length > 0;
    });
    await quiet.broker.getStack({ stack: 'web' });
    await quiet.broker.whoAmI({});
    await quiet.broker.updateStack({ stack: 'web', addLabels: ['calm'] });
    await admin.createGenerator({ name: 'newcomer' });
    await agent.client.agent.heartbeat({ incarnation: agent.incarnation });
    await agent.pull();
  } finally {
    await sql.query('commit');
  }
  await Promise.all(hanging);
  const { stack: after } = await loud.broker.getStack({ stack: 'web' });
  assert.is(after?.labels.length, 40);
});

story('cannot occupy all connections with hanging reads of calls or streams', async () => {
  const leave = new AbortController();
  const { signal } = leave;
  // All reports about a cluster wait for this lock.
  await sql.query('begin');
  await sql.query('lock table telemetry in access exclusive mode');
  const hanging = Array.from({ length: 40 }, async () => {
    await loud.broker.listPodLogs({ stack: 'web' }, { signal });
  });
  const following = Array.from({ length: 40 }, async () => {
    for await (const _ of loud.broker.tailStack({ stack: 'web', startTime: timestampFromMs(0) }, { signal }));
  });
  const ended = Promise.allSettled([...hanging, ...following]);
  try {
    await eventually(async () => {
      const { rows } = await sql.query(`select from pg_stat_activity where wait_event_type = 'Lock'`);
      return rows.length > 5;
    });
    await quiet.broker.getStack({ stack: 'web' });
    await quiet.broker.updateStack({ stack: 'web', addLabels: ['calmer'] });
    await admin.listGenerators({});
    for await (const { stack } of quiet.broker.watchStack({ stack: 'web' })) {
      assert.ok(stack);
      break;
    }
  } finally {
    leave.abort();
    await sql.query('rollback');
  }
  await ended;
  await loud.broker.listPodLogs({ stack: 'web' });
});

story('is refused when too much of it waits, and served afterwards', async () => {
  const flood = Array.from({ length: 1_500 }, () =>
    loud.broker.listStacks({}).then(
      () => 'OK',
      (error: { code?: number; rawMessage?: string }) => `${error.code} ${error.rawMessage}`,
    ),
  );
  await quiet.broker.listStacks({});
  const answers = new Set(await Promise.all(flood));
  answers.delete('8 500 calls of this key are waiting: slow down');
  assert.equal([...answers], ['OK']);
  await loud.broker.listStacks({});
});

story('leaves no work behind when its callers have gone', async () => {
  const gone = new AbortController();
  const calls = Array.from({ length: 200 }, () => loud.broker.listStacks({}, { signal: gone.signal }).catch(() => {}));
  gone.abort();
  await Promise.all(calls);
  await eventually(async () => {
    const text = await (await fetch(test.brokers[0]?.metricsUrl ?? '')).text();
    return /^brokkr_calls_waiting\{/m.test(text) && !/^brokkr_calls_waiting\{.*\} [^0]/m.test(text);
  });
});

story.run();
