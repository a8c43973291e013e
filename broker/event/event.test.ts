// Over 300 lines: one database and one agent tell the whole life of events
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome, Receipt, type ReportedEvent } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import type { TargetEntry } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../store/open.ts';
import { dropOldEvents, eventDays, makeEventPartitions } from './partitions.ts';

const test = await startTestBroker();
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const events = suite('events');
events.after(async () => {
  await db.close();
  await test.close();
});

let things = 0;
async function scene(): Promise<{ agent: TestAgent; stack: string; entry: TargetEntry }> {
  const stack = `s${++things}`;
  const agent = await startTestAgent(test, { name: `a${things}`, labels: [stack] });
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const entry = await eventually(() => agent.entry(stack));
  return { agent, stack, entry };
}

type Sent = Partial<Omit<ReportedEvent, '$typeName' | '$unknown' | 'objects' | 'agentTime'>> & { sequence: bigint };
const send = async (agent: TestAgent, ...sent: Sent[]) => {
  const answer = await agent.client.agent.reportEvents({ incarnation: agent.incarnation, events: sent });
  return answer.receipts.map(({ receipt }) => receipt);
};
const about = (
  { stackId, deploymentId, generation, checksum }: TargetEntry,
  outcome: Outcome,
  sequence: bigint,
): Sent => ({
  sequence,
  stackId,
  deploymentId,
  generation,
  checksum: Buffer.from(checksum).toString('hex'),
  outcome,
});
const phaseOf = async (stack: string) => (await broker.listPlacements({ stack })).placements[0]?.phase;
const { ACCEPTED, DUPLICATE, REFUSED } = Receipt;

events('are stored once, in order, whatever is sent again', async () => {
  const { agent, stack, entry } = await scene();
  const [one, two, three] = [1n, 2n, 3n].map((sequence) => about(entry, Outcome.FAILED, sequence)) as [
    Sent,
    Sent,
    Sent,
  ];
  assert.equal(await send(agent, one, two), [ACCEPTED, ACCEPTED]);
  assert.equal(await send(agent, two, three), [DUPLICATE, ACCEPTED]);
  assert.equal(await send(agent, three, one), [DUPLICATE, DUPLICATE]);
  const twice = await Promise.all(Array.from({ length: 8 }, () => send(agent, about(entry, Outcome.APPLIED, 4n))));
  assert.equal(twice.flat().sort(), [ACCEPTED, ...Array.from({ length: 7 }, () => DUPLICATE)].sort());
  const { events: stored } = await broker.listEvents({ stack });
  assert.equal(
    stored.map(({ sequence }) => sequence),
    [4n, 3n, 2n, 1n],
  );
  // A new start counts anew.
  await agent.start();
  assert.equal(await send(agent, about(entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
});

events('that were lost are recorded as a gap, even before one that is refused', async () => {
  const { agent, stack, entry } = await scene();
  assert.equal(await send(agent, about(entry, Outcome.APPLIED, 4n)), [ACCEPTED]);
  const foreign = { ...about(entry, Outcome.APPLIED, 7n), stackId: '00000000-0000-7000-8000-000000000000' };
  assert.equal(await send(agent, foreign), [REFUSED]);
  const { events: all } = await broker.listEvents({ agent: agent.name });
  assert.equal(
    all.map(({ outcome, sequence, message }) => [outcome, sequence, message]),
    [
      [Outcome.GAP, 6n, '2 events before this one were lost'],
      [Outcome.APPLIED, 4n, ''],
      [Outcome.GAP, 3n, '3 events before this one were lost'],
    ],
  );
  assert.is((await broker.listEvents({ stack, outcome: Outcome.GAP })).events.length, 1);
});

events('that say nothing true do not hold up the others', async () => {
  const [mine, other] = [await scene(), await scene()];
  const { agent, entry } = mine;
  const receipts = await send(
    agent,
    about(other.entry, Outcome.APPLIED, 1n),
    { sequence: 2n, outcome: Outcome.FAILED },
    { ...about(entry, Outcome.APPLIED, 3n), generation: 2n ** 64n - 1n },
    { ...about(entry, Outcome.FAILED, 4n), deploymentId: 'unknown', checksum: 'zz' },
    { sequence: 5n, outcome: Outcome.GAP, message: 'dropped 3' },
    about(entry, Outcome.APPLIED, 6n),
    { ...about(entry, Outcome.APPLIED, 2n ** 64n - 1n) },
  );
  assert.equal(receipts, [REFUSED, REFUSED, REFUSED, ACCEPTED, ACCEPTED, ACCEPTED, REFUSED]);
  assert.equal(await send(agent, about(entry, Outcome.APPLIED, 7n)), [ACCEPTED], 'a number out of range uses none up');
  assert.is(await phaseOf(other.stack), PlacementPhase.PENDING);
  assert.is(await phaseOf(mine.stack), PlacementPhase.APPLIED);
});

events('change the phase only while they are about what is desired', async () => {
  const { agent, stack, entry } = await scene();
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'two') });
  assert.equal(await send(agent, about(entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'late: revision 1');
  const two = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.revision === 2 && now;
  });
  assert.equal(await send(agent, { ...about(two, Outcome.APPLIED, 2n), checksum: '0'.repeat(64) }), [ACCEPTED]);
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'other bytes');
  assert.equal(await send(agent, { ...about(two, Outcome.APPLIED, 3n), generation: two.generation + 1n }), [ACCEPTED]);
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'another generation');
  await send(agent, about(two, Outcome.FAILED, 4n), about(two, Outcome.APPLIED, 5n));
  assert.is(await phaseOf(stack), PlacementPhase.APPLIED, 'the later of one batch');
  await send(agent, about(two, Outcome.FAILED, 6n));
  assert.is(await phaseOf(stack), PlacementPhase.FAILED);
  await send(agent, about(two, Outcome.REMOVED, 7n));
  assert.is((await broker.listPlacements({ stack })).placements[0]?.state, PlacementState.ACTIVE);
});

events('of one agent never use the numbers of another', async () => {
  const [one, two] = [await scene(), await scene()];
  await send(one.agent, about(one.entry, Outcome.APPLIED, 50n));
  assert.equal(await send(two.agent, about(two.entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
});

events('and changes of the same placements at once end well', async () => {
  const { agent, stack, entry } = await scene();
  const reports = (async () => {
    for (let sequence = 1n; sequence <= 40n; sequence += 1n) await send(agent, about(entry, Outcome.FAILED, sequence));
  })();
  for (let times = 0; times < 10; times += 1) {
    await admin.updateAgent({ agent: agent.name, removeLabels: [stack] });
    await admin.updateAgent({ agent: agent.name, addLabels: [stack] });
  }
  await reports;
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'they were about an earlier generation');
});

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
    await send(agent, ...entries.map((entry) => about(entry, Outcome.APPLIED, ++sequence)));
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
  const raw = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await raw.connect();
  try {
    await raw.query(`load 'auto_explain'`);
    const plans: string[] = [];
    raw.on('notice', ({ message }) => plans.push(message ?? ''));
    for (const setting of ['log_min_duration = 0', 'log_analyze = on', 'log_level = notice'])
      await raw.query(`set auto_explain.${setting}`);
    await raw.query(`set client_min_messages = notice`);
    const { listEvents } = await import('./store.ts');
    const { listPlacements } = await import('../placement/store.ts');
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
  const reader = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await reader.connect();
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
    assert.equal(await send(agent, about(entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
    assert.match(await making, /lock timeout/);
  } finally {
    await reader.end();
  }
  assert.is(await makeEventPartitions(db), 1);
});

events.run();
