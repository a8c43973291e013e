import pg from 'pg';
import { Registry } from 'prom-client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { createLog } from '../log.ts';
import { openStore } from '../open-store.ts';
import { createIntake, type IntakeOptions } from './intake.ts';
import { gapOf, type Told } from './rules.ts';

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

const intakes = suite('what agents tell');
intakes.after(async () => {
  await sql.end();
  await feed.close();
  await db.close();
  await test.close();
});
intakes.before.each(async () => void (await sql.query('delete from telemetry; delete from telemetry_agent')));

/** An intake, and what tells it so many lines, each of a container of its own. */
function open(options: IntakeOptions) {
  const intake = createIntake(db, feed, log, new Registry(), options);
  const sequences = new Map<string, bigint>();
  let containers = 0;
  const line = (): Told => ({
    ...gapOf(stackId, 'log', 'quota', 1n),
    gap: null,
    name: 'pod',
    container: `c${++containers}`,
    text: 'x'.repeat(600),
  });
  return {
    close: intake.close,
    tell({ agent, id }: typeof loud, count: number, received = () => {}) {
      const sequence = (sequences.get(id) ?? 0n) + 1n;
      sequences.set(id, sequence);
      const items = Array.from({ length: count }, line);
      return intake.take({ agentId: id, incarnation: agent.incarnation, sequence, items }, received);
    },
  };
}

/** Lets nothing be written until the returned function is called. */
async function holdWrites(): Promise<() => Promise<unknown>> {
  await sql.query('begin');
  await sql.query('lock table telemetry_agent');
  return () => sql.query('rollback');
}

intakes('is marked once for each stack and stream when it is over the quota, whatever it is about', async () => {
  const everyMs = 3_000;
  const intake = open({ quota: { items: 1_000, everyMs } });
  const beganAt = Date.now();
  let received = 0;
  for (let batch = 1; batch <= 50; batch += 1) await intake.tell(loud, 100, () => (received = batch));
  await eventually(() => received === 50, deadlineMs);
  const windows = Math.ceil((Date.now() - beganAt) / everyMs) + 1;
  await intake.close();
  const [found] = await db.sql<{ lines: number; marks: number; left: string }>(
    `select count(*) filter (where gap is null)::int as lines, count(gap)::int as marks, sum(count) filter (where gap is not null) as left
     from telemetry`,
  );
  assert.is((found?.lines ?? 0) + Number(found?.left), 5_000);
  assert.ok((found?.marks ?? 0) >= 1);
  assert.ok((found?.marks ?? 0) <= windows, `${found?.marks} marks in ${windows} windows`);
  assert.ok((found?.lines ?? 0) + (found?.marks ?? 0) <= 1_000 * windows);
});

intakes('is written in turns: one that floods does not hold up another', async () => {
  const intake = open({ quota: { items: 100_000, everyMs: 600_000 } });
  const release = await holdWrites();
  let ofLoud = 0;
  let before: number | undefined;
  const flood = Array.from({ length: 100 }, () => intake.tell(loud, 200, () => (ofLoud += 1)));
  await intake.tell(quiet, 1, () => (before = ofLoud));
  await release();
  await Promise.all(flood);
  await eventually(() => before !== undefined && ofLoud === 100, deadlineMs);
  await intake.close();
  // What was under way when the quiet one came, and what is written together with it.
  assert.ok(before! <= 30, `${before} batches of the loud one went before`);
});

intakes('is held back while too much of it waits, and so is nobody else', async () => {
  const intake = open({ waitingBytes: 16 << 20 });
  const release = await holdWrites();
  const settled: string[] = [];
  const told = Array.from({ length: 30 }, (_, at) =>
    intake.tell(loud, 100).then(() => settled.push(at < 5 ? 'first' : 'more')),
  );
  await intake.tell(quiet, 1).then(() => settled.push('quiet'));
  assert.ok(settled.includes('quiet') && settled.includes('first'), `${settled}`);
  assert.not(settled.length === 31, 'nothing is held back');
  await release();
  await Promise.all(told);
  await intake.close();
});

intakes.run();
