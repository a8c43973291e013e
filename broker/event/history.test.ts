import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome, Receipt } from '../../gen/brokkr/v1/event_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { createEventFixture, eventFor, reportEvents } from '../../test/event-fixture.ts';
import { openSqlSession } from '../../test/tools/database-session.ts';
import { openMigrated } from '../open-store.ts';
import { listPlacements } from '../placement/store.ts';
import { dropOldEvents, eventDays, makeEventPartitions } from './partition-store.ts';
import { listEvents } from './store.ts';

const test = await startTestBroker();
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const events = suite('the history of events');
events.after(async () => {
  await db.close();
  await test.close();
});

const scene = () => createEventFixture(test);
const { ACCEPTED } = Receipt;

events('are listed page by page, and a generator sees those of its own stacks', async () => {
  const { pak } = await admin.createGenerator({ name: 'pager' });
  const mine = test.client(pak).broker;
  const agent = await startTestAgent(test, { name: 'paged', labels: ['paged'], generators: ['pager'] });
  for (const name of ['p1', 'p2', 'p3']) {
    await mine.createStack({ name, labels: ['paged'] });
    await mine.submitDeployment({ stack: name, manifest: configMap(name) });
  }
  const entries = await eventually(async () => {
    const pulled = await agent.pull();
    return pulled.entries.length === 3 && pulled.entries;
  });
  let sequence = 0n;
  for (let times = 0; times < 5; times += 1)
    await reportEvents(agent, ...entries.map((entry) => eventFor(entry, Outcome.APPLIED, ++sequence)));
  const seen: bigint[] = [];
  for (let pageToken = ''; ; ) {
    const page = await mine.listEvents({ pageSize: 4, pageToken });
    seen.push(...page.events.map((event) => event.sequence));
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  assert.equal(
    seen,
    Array.from({ length: 15 }, (_, index) => BigInt(15 - index)),
  );
  await refused(mine.listEvents({ stack: 'system/s1' }), Code.NotFound);
  const { nextPageToken } = await mine.listEvents({ pageSize: 4 });
  await refused(broker.listEvents({ pageSize: 4, pageToken: nextPageToken }), Code.InvalidArgument);
});

events('in their thousands are listed by walks down indexes', async () => {
  const { agent, entry } = await scene();
  const row = `$1, 1, at, $2, 'applied', 'x', now() - (at % 3) * interval '1 second'`;
  await db.sql(
    `insert into event (agent_id, incarnation, sequence, stack_id, outcome, message, received_at) select ${row} from generate_series(1, 15000) as at`,
    [agent.id, entry.stackId],
  );
  await db.sql('analyze');
  const raw = await openSqlSession(test);
  try {
    await raw.query(`load 'auto_explain'`);
    const plans: string[] = [];
    raw.on('notice', ({ message }) => plans.push(message ?? ''));
    for (const setting of ['log_min_duration = 0', 'log_analyze = on', 'log_level = notice'])
      await raw.query(`set auto_explain.${setting}`);
    await raw.query(`set client_min_messages = notice`);
    const sql = {
      cipher: db.cipher,
      sql: async <R>(text: string, params: readonly unknown[] = []) => (await raw.query(text, [...params])).rows as R[],
    };
    const none = {
      owner: null,
      stackId: undefined,
      agentId: undefined,
      outcome: undefined,
      after: undefined,
      limit: 101,
    };
    const { rows } = await raw.query(`select id from generator where name = 'pager'`);
    for (const filter of [
      none,
      { ...none, stackId: entry.stackId },
      { ...none, agentId: agent.id },
      { ...none, after: ['9000'] },
      { ...none, owner: rows[0]?.id as string },
    ]) {
      plans.length = 0;
      const found = await listEvents(sql, filter);
      assert.ok(found.length > 0);
      const plan = plans.join('\n');
      assert.match(plan, /Index/);
      assert.not.match(plan, /Seq Scan on event/, JSON.stringify(filter));
      const read = [...plan.matchAll(/on event\S* \S+ .*actual .*rows=([0-9]+)/g)].map((match) => Number(match[1]));
      assert.ok(read.reduce((sum, count) => sum + count, 0) <= 500, plan);
    }
    // Two stacks on 3,000 agents each.
    const { stack: second } = await broker.createStack({ name: 'second' });
    await db.sql(
      `with made as (insert into agent (id, name) select gen_random_uuid(), 'made-' || at from generate_series(1, 3000) as at returning id)
       insert into placement (agent_id, stack_id, state, generation) select made.id, s.id, 'active', 1 from made, unnest($1::uuid[]) as s(id)`,
      [[entry.stackId, second?.id]],
    );
    await db.sql('analyze');
    plans.length = 0;
    await listPlacements(sql, { owner: null, stackId: entry.stackId, limit: 101 });
    assert.match(plans.join('\n'), /placement_stack/);
  } finally {
    await raw.end();
  }
});

events('are kept in partitions by day, and dropped with them', async () => {
  const partitions = async () => {
    const rows = await db.sql<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'event'::regclass order by 1`,
    );
    return rows.map(({ name }) => name);
  };
  await eventually(async () => (await partitions()).length === 4);
  assert.is(await makeEventPartitions(db), 0, 'they are there');
  const old = new Date(Date.now() - (eventDays + 2) * 86_400_000);
  const from = old.toISOString().slice(0, 10);
  const to = new Date(old.getTime() + 86_400_000).toISOString().slice(0, 10);
  const name = `event_${from.replaceAll('-', '')}`;
  await db.sql(
    `create table ${name} partition of event for values from ('${from} 00:00:00+00') to ('${to} 00:00:00+00')`,
  );
  const insert = `insert into event (agent_id, incarnation, sequence, outcome, message, received_at) values (gen_random_uuid(), 1, 1, 'applied', $2, $1)`;
  await db.sql(insert, [old, 'in the partition']);
  await db.sql(insert, [new Date(Date.now() - (eventDays + 5) * 86_400_000), 'in the rest']);
  await db.sql(insert, [new Date(Date.now() - (eventDays - 2) * 86_400_000), 'young enough']);
  assert.is(await dropOldEvents(db), 2);
  assert.not.ok((await partitions()).includes(name));
  const rows = await db.sql<{ message: string }>(
    `select message from event where received_at < now() - interval '1 day'`,
  );
  assert.equal(rows, [{ message: 'young enough' }]);
});

events('wait for nobody who reads them when partitions change', async () => {
  const reader = await openSqlSession(test);
  try {
    const { agent, entry } = await scene();
    const [tomorrow] = await db.sql<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'event'::regclass and inhrelid::regclass::text ~ '[0-9]{8}$' order by 1 desc limit 1`,
    );
    assert.ok(tomorrow);
    await db.sql(`drop table ${tomorrow.name}`);
    await reader.query('begin');
    await reader.query('select count(*) from event');
    const making = makeEventPartitions(db).then(
      () => 'made',
      (error: unknown) => String(error),
    );
    assert.equal(await reportEvents(agent, eventFor(entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
    assert.match(await making, /lock timeout/);
  } finally {
    await reader.end();
  }
  assert.is(await makeEventPartitions(db), 1);
});

events.run();
