import pg from 'pg';
import { Registry } from 'prom-client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { createLog } from '../log.ts';
import { openStore } from '../open-store.ts';
import { createIntake, type IntakeOptions } from './intake.ts';
import { gapOf, type TelemetryItem } from './rules.ts';

const deadlineMs = 30_000;
const test = await startTestBroker();
const { broker } = test.client();
const log = createLog('silent', { write: () => {} });
const { db, feed } = await openStore(test.config, log);
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const { stack } = await broker.createStack({ name: 'web', labels: ['web'] });
await broker.submitDeployment({ stack: 'web', manifest: configMap('web') });
const stackId = stack?.id ?? '';
const agents = [];
for (const name of ['loud', 'quiet']) {
  const agent = await startTestAgent(test, { name, labels: ['web'] });
  await eventually(async () => (await agent.activeStacks()).includes('web'));
  const { agent: found } = await test.client().admin.getAgent({ agent: name });
  agents.push({ agent, id: found?.id ?? '' });
}
const [loud, quiet] = agents as [{ agent: TestAgent; id: string }, { agent: TestAgent; id: string }];

const intakes = suite('intake of telemetry');
intakes.after(async () => {
  await sql.end();
  await feed.close();
  await db.close();
  await test.close();
});
intakes.before.each(async () => void (await sql.query('delete from telemetry; delete from telemetry_agent')));

/** Opens an intake. Its `send` gives it lines, each of another container. */
function open(options: IntakeOptions) {
  const intake = createIntake(db, feed, log, new Registry(), options);
  const sequences = new Map<string, bigint>();
  let containers = 0;
  const line = (): TelemetryItem => ({
    ...gapOf(stackId, 'log', 'quota', 1n),
    gap: null,
    name: 'pod',
    container: `c${++containers}`,
    text: 'x'.repeat(600),
  });
  return {
    close: intake.close,
    send({ agent, id }: typeof loud, count: number, received = () => {}) {
      const sequence = (sequences.get(id) ?? 0n) + 1n;
      sequences.set(id, sequence);
      const items = Array.from({ length: count }, line);
      return intake.take({ agentId: id, incarnation: agent.incarnation, sequence, items }, received);
    },
  };
}

/** Blocks writes until the returned function is called. */
async function blockWrites(): Promise<() => Promise<unknown>> {
  await sql.query('begin');
  await sql.query('lock table telemetry_agent');
  return () => sql.query('rollback');
}

intakes('adds one gap for each stack and stream over the quota, however many containers there are', async () => {
  const everyMs = 3_000;
  const intake = open({ quota: { items: 1_000, everyMs } });
  const beganAt = Date.now();
  let received = 0;
  for (let batch = 1; batch <= 50; batch += 1) await intake.send(loud, 100, () => (received = batch));
  await eventually(() => received === 50, deadlineMs);
  const windows = Math.ceil((Date.now() - beganAt) / everyMs) + 1;
  await intake.close();
  const [found] = await db.sql<{ lines: number; gaps: number; left: string }>(
    `select count(*) filter (where gap is null)::int as lines, count(gap)::int as gaps, sum(count) filter (where gap is not null) as left
     from telemetry`,
  );
  assert.is((found?.lines ?? 0) + Number(found?.left), 5_000);
  assert.ok((found?.gaps ?? 0) >= 1);
  assert.ok((found?.gaps ?? 0) <= windows, `${found?.gaps} gaps in ${windows} windows`);
  assert.ok((found?.lines ?? 0) + (found?.gaps ?? 0) <= 1_000 * windows);
});

intakes('writes agents in turns, so that one that floods does not hold up another', async () => {
  const intake = open({ quota: { items: 100_000, everyMs: 600_000 } });
  const release = await blockWrites();
  let loudBatches = 0;
  let before: number | undefined;
  const flood = Array.from({ length: 100 }, () => intake.send(loud, 200, () => (loudBatches += 1)));
  await intake.send(quiet, 1, () => (before = loudBatches));
  await release();
  await Promise.all(flood);
  await eventually(() => before !== undefined && loudBatches === 100, deadlineMs);
  await intake.close();
  // Some batches were being written when the quiet agent sent its own, and some are written together with it.
  assert.ok(before! <= 30, `${before} batches of the loud agent came first`);
});

intakes('makes an agent wait while too much of its telemetry waits, and no other agent', async () => {
  const intake = open({ waitingBytes: 16 << 20 });
  const release = await blockWrites();
  const settled: string[] = [];
  const sent = Array.from({ length: 30 }, (_, at) =>
    intake.send(loud, 100).then(() => settled.push(at < 5 ? 'first' : 'more')),
  );
  await intake.send(quiet, 1).then(() => settled.push('quiet'));
  assert.ok(settled.includes('quiet') && settled.includes('first'), `${settled}`);
  assert.not(settled.length === 31, 'no agent had to wait');
  await release();
  await Promise.all(sent);
  await intake.close();
});

intakes.run();
