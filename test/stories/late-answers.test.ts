import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent } from '../agents.ts';
import { eventually, startTestBroker } from '../broker.ts';
import { startDatabaseProxy } from '../tools/database-proxy.ts';
import { openSession } from '../tools/database-session.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const lates = suite('answers and notifications that come late, or not at all');
lates.after(() => test.close());

let things = 0;
const fresh = (kind: string) => `${kind}-${++things}`;

lates('a broker that lags reports an older order, and a disconnected one does not answer from its cache', async () => {
  const [name, stack] = [fresh('agent'), fresh('stack')];
  const agent = await startTestAgent(test, { name, labels: [stack] });
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const proxy = await startDatabaseProxy(test.postgres.url);
  const behind = await startTestBroker({
    postgres: test.postgres,
    config: { databaseUrl: proxy.url, databaseSchema: test.config.databaseSchema },
  });
  try {
    const { agent: byOther } = test.client(agent.pak, { url: behind.url });
    const ask = async () => {
      const { entries } = await byOther.pullTargetState({ incarnation: agent.incarnation });
      return entries.find((entry) => entry.stack === stack);
    };
    const before = await eventually(ask);
    // The next answer of the feed is delayed for longer than it takes to notice a lost one.
    const feed = proxy.hold('pg_visible_in_snapshot');
    await feed.asked;
    await admin.updateAgent({ agent: name, removeLabels: [stack] });
    await admin.updateAgent({ agent: name, addLabels: [stack] });
    const now = await eventually(async () => {
      const entry = await agent.entry(stack);
      return entry.order > before.order && entry;
    });
    const late = await ask();
    assert.ok(late && late.order <= now.order, 'at most as new');
    await eventually(async () => (await ask())?.order === now.order);
    feed.release();
  } finally {
    await behind.close();
    await proxy.close();
  }
});

lates('a value read before a change is not cached after it', async () => {
  const proxy = await startDatabaseProxy(test.postgres.url);
  const slow = await startTestBroker({
    postgres: test.postgres,
    config: { databaseUrl: proxy.url, databaseSchema: test.config.databaseSchema },
  });
  try {
    for (const waits of [false, true]) {
      const [name, stack] = [fresh('agent'), fresh('stack')];
      const agent = await startTestAgent(test, { name, labels: [stack], url: slow.url });
      const { digest } = await agent.pull();
      await admin.updateAgent({ agent: name, addLabels: ['unrelated'] });
      await delay(300); // by now the memory of the agent is dropped
      const read = proxy.hold('target-index');
      const request = { incarnation: agent.incarnation, digest, ...(waits && { wait: { seconds: 30n } }) };
      const asked = agent.client.agent.pullTargetState(request);
      await read.asked;
      await broker.createStack({ name: stack, labels: [stack] });
      await broker.submitDeployment({ stack, manifest: configMap(stack) });
      await delay(300); // the change is visible while the older answer is still on its way
      read.release();
      const answer = await asked;
      if (waits) assert.is(answer.kind, TargetStateKind.INDEX, 'the wait ends with the change');
      await eventually(async () => (await agent.serves()).includes(stack));
    }
  } finally {
    await slow.close();
    await proxy.close();
  }
});

lates('a lost notification costs a second at most', async () => {
  const agent = await startTestAgent(test, { name: fresh('agent') });
  const { digest } = await agent.pull();
  const raw = await openSession(test);
  try {
    await raw.query('begin');
    await raw.query('update agent set paused = true where id = $1', [agent.id]);
    await raw.query(`insert into change (kind, ref) values ('agent', $1)`, [agent.id]);
    await raw.query('commit');
    const answer = await agent.client.agent.pullTargetState({
      incarnation: agent.incarnation,
      digest,
      wait: { seconds: 30n },
    });
    assert.is(answer.kind, TargetStateKind.PAUSED);
  } finally {
    await raw.end();
  }
});

lates('a change that commits late, with a lower number, is not skipped', async () => {
  const [early, late] = [
    await startTestAgent(test, { name: fresh('agent') }),
    await startTestAgent(test, { name: fresh('agent') }),
  ];
  const raw = await openSession(test);
  try {
    await raw.query('begin');
    await raw.query('update agent set paused = true where id = $1', [late.id]);
    await raw.query(`insert into change (kind, ref) values ('agent', $1)`, [late.id]);
    for (let times = 0; times < 3; times += 1) {
      await admin.updateAgent({ agent: early.name, addLabels: [fresh('label')] });
      await late.pull();
      await delay(100);
    }
    await admin.pauseAgent({ agent: early.name });
    await eventually(async () => (await early.pull()).kind === TargetStateKind.PAUSED);
    assert.is((await late.pull()).kind, TargetStateKind.INDEX);
    await raw.query('commit');
    await eventually(async () => (await late.pull()).kind === TargetStateKind.PAUSED);
  } finally {
    await raw.end();
  }
});

lates('reports notify only their watchers, in one message', async () => {
  const stack = fresh('stack');
  const agent = await startTestAgent(test, { name: fresh('agent'), labels: [stack] });
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const entry = await eventually(() => agent.entry(stack));
  const { digest } = await agent.pull();
  const raw = await openSession(test);
  const heard: string[] = [];
  try {
    const { databaseSchema } = test.config;
    raw.on('notification', ({ channel }) => heard.push(channel));
    await raw.query(`listen brokkr_change_${databaseSchema}`);
    await raw.query(`listen brokkr_report_${databaseSchema}`);
    await delay(300);
    heard.length = 0;
    await Promise.all(Array.from({ length: 20 }, () => agent.report(entry, Outcome.APPLIED)));
    await delay(500);
    assert.equal(new Set(heard), new Set([`brokkr_report_${databaseSchema}`]));
    assert.ok(heard.length <= 5, `${heard.length} messages`);
    assert.is((await agent.pull({ digest })).kind, TargetStateKind.UNCHANGED, 'a report does not change what is told');
  } finally {
    await raw.end();
  }
});

lates.run();
