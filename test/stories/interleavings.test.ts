import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent } from '../agents.ts';
import { eventually, startTestBroker } from '../broker.ts';
import { startDatabaseProxy } from '../database-proxy.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin, broker } = test.client();
/** By the other broker. */
const other = test.client(undefined, { url: test.urls[1] ?? '' });
const races = suite('interleavings that break simpler rules');
races.after(() => test.close());

let things = 0;
const fresh = (kind: string) => `${kind}-${++things}`;

/** A connection that the test rules alone. */
async function session(): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await client.connect();
  return client;
}

/** Waits until this many statements wait for a lock. */
async function blocked(watcher: pg.Client, count: number): Promise<void> {
  await eventually(async () => {
    const { rows } = await watcher.query(
      `select count(*)::int as count from pg_stat_activity where wait_event_type = 'Lock'`,
    );
    return rows[0]?.count >= count;
  });
}

/**
 * Starts calls one after another while no transaction that announces a change can commit: each has done its work by then, or waits for
 * one that has. Then lets all of them end.
 */
async function overlapping(...calls: (() => Promise<unknown>)[]): Promise<PromiseSettledResult<unknown>[]> {
  const [holder, watcher] = [await session(), await session()];
  try {
    await holder.query('begin');
    await holder.query('lock table change in exclusive mode');
    const running: Promise<unknown>[] = [];
    for (const call of calls) {
      running.push(call());
      running.at(-1)?.catch(() => {});
      await blocked(watcher, running.length);
    }
    await holder.query('commit');
    return await Promise.allSettled(running);
  } finally {
    await holder.end();
    await watcher.end();
  }
}

const placementsOf = async (stack: string) => (await broker.listPlacements({ stack })).placements;

races('an agent and a stack that get the same label at once find each other', async () => {
  for (const agentFirst of [true, false]) {
    const [agent, stack, label] = [fresh('agent'), fresh('stack'), fresh('label')];
    await admin.createAgent({ name: agent });
    await broker.createStack({ name: stack });
    const calls = [
      () => admin.updateAgent({ agent, addLabels: [label] }),
      () => other.broker.updateStack({ stack, addLabels: [label] }),
    ];
    const results = await overlapping(...(agentFirst ? calls : calls.reverse()));
    assert.equal(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled'],
    );
    assert.equal(
      (await placementsOf(stack)).map((one) => one.agent),
      [agent],
    );
  }
});

races('a new agent and a new stack with the same label find each other', async () => {
  for (const agentFirst of [true, false]) {
    const [agent, stack, label] = [fresh('agent'), fresh('stack'), fresh('label')];
    const calls = [
      () => admin.createAgent({ name: agent, labels: [label] }),
      () => other.broker.createStack({ name: stack, labels: [label] }),
    ];
    await overlapping(...(agentFirst ? calls : calls.reverse()));
    assert.equal(
      (await placementsOf(stack)).map((one) => one.agent),
      [agent],
    );
  }
});

races('a target is not added to an agent that withdraws its consent at once', async () => {
  for (const targetFirst of [true, false]) {
    const [name, stack, owner] = [fresh('agent'), fresh('stack'), fresh('generator')];
    await admin.createGenerator({ name: owner });
    const agent = await startTestAgent(test, { name, generators: [owner] });
    await broker.createStack({ name: stack, generator: owner });
    const calls = [
      () => broker.addTarget({ stack, agent: name }),
      () => agent.client.agent.deregisterGenerator({ incarnation: agent.incarnation, generator: owner }),
    ];
    const results = await overlapping(...(targetFirst ? calls : calls.reverse()));
    assert.is(results.filter(({ status }) => status === 'rejected').length, targetFirst ? 0 : 1);
    const active = (await placementsOf(stack)).filter(({ state }) => state === PlacementState.ACTIVE);
    assert.equal(active, []);
    assert.equal((await broker.getStack({ stack })).stack?.targets, []);
  }
});

races('a stack that is deleted while it is matched or targeted is placed nowhere', async () => {
  const [agent, stack, label] = [fresh('agent'), fresh('stack'), fresh('label')];
  await admin.createAgent({ name: agent });
  const { stack: made } = await broker.createStack({ name: stack, labels: [label] });
  await overlapping(
    () => broker.deleteStack({ stack }),
    () => other.admin.updateAgent({ agent, addLabels: [label] }),
  );
  const { placements } = await broker.listPlacements({ agent });
  assert.equal(
    placements.filter((one) => one.stackId === made?.id),
    [],
  );
});

races('a deployment that is submitted while an agent joins reaches that agent', async () => {
  for (const submitFirst of [true, false]) {
    const [name, stack, label] = [fresh('agent'), fresh('stack'), fresh('label')];
    const agent = await startTestAgent(test, { name });
    await broker.createStack({ name: stack, labels: [label] });
    await broker.submitDeployment({ stack, manifest: configMap(stack, 'old') });
    const calls = [
      () => other.broker.submitDeployment({ stack, manifest: configMap(stack, 'new') }),
      () => admin.updateAgent({ agent: name, addLabels: [label] }),
    ];
    await overlapping(...(submitFirst ? calls : calls.reverse()));
    const { stack: now } = await broker.getStack({ stack });
    await eventually(async () => (await agent.entry(stack)).deploymentId === now?.currentDeploymentId);
    assert.is((await agent.entry(stack)).revision, 2);
  }
});

races('an acknowledgement and a new match of the same stack end in an active placement', async () => {
  for (const matchFirst of [true, false]) {
    const [name, stack, label] = [fresh('agent'), fresh('stack'), fresh('label')];
    const agent = await startTestAgent(test, { name, labels: [label] });
    await broker.createStack({ name: stack, labels: [label] });
    await broker.submitDeployment({ stack, manifest: configMap(stack) });
    await admin.updateAgent({ agent: name, removeLabels: [label] });
    const removal = await eventually(async () => {
      const entry = await agent.entry(stack);
      return entry.state === PlacementState.REMOVING && entry;
    });
    const calls = [
      () => other.admin.updateAgent({ agent: name, addLabels: [label] }),
      () => agent.report(removal, Outcome.REMOVED),
    ];
    await overlapping(...(matchFirst ? calls : calls.reverse()));
    const [placement] = await placementsOf(stack);
    assert.is(placement?.state, PlacementState.ACTIVE);
    assert.ok((placement?.generation ?? 0n) > removal.generation);
  }
});

races('a broker that is behind tells an older order, and one that is cut off does not answer from memory', async () => {
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
    // The feed's next answer is late, for longer than a lost one would be noticed.
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

races('what was read before a change is not remembered after it', async () => {
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
      await delay(300); // the memory of the agent is dropped by now
      const read = proxy.hold('target-index');
      const request = { incarnation: agent.incarnation, digest, ...(waits && { wait: { seconds: 30n } }) };
      const asked = agent.client.agent.pullTargetState(request);
      await read.asked;
      await broker.createStack({ name: stack, labels: [stack] });
      await broker.submitDeployment({ stack, manifest: configMap(stack) });
      await delay(300); // the change is seen while the older answer is still on its way
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

races('a lost notification costs a second at most', async () => {
  const agent = await startTestAgent(test, { name: fresh('agent') });
  const { digest } = await agent.pull();
  const raw = await session();
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

races('a change that commits late, with a lower number, is not skipped', async () => {
  const [early, late] = [
    await startTestAgent(test, { name: fresh('agent') }),
    await startTestAgent(test, { name: fresh('agent') }),
  ];
  const raw = await session();
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

races('reports notify nobody of changes, and their watchers in one message', async () => {
  const stack = fresh('stack');
  const agent = await startTestAgent(test, { name: fresh('agent'), labels: [stack] });
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const entry = await eventually(() => agent.entry(stack));
  const { digest } = await agent.pull();
  const raw = await session();
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

races('a transaction that a deadlock ends runs again', async () => {
  const name = fresh('agent');
  const { agent } = await admin.createAgent({ name });
  const [raw, watcher] = [await session(), await session()];
  const deadlocks = async () => {
    const { rows } = await watcher.query(
      'select deadlocks::int as count from pg_stat_database where datname = current_database()',
    );
    return rows[0]?.count as number;
  };
  try {
    const before = await deadlocks();
    await raw.query(`set deadlock_timeout = '60s'`); // the broker's side is the one that finds it, and ends
    await raw.query('begin');
    await raw.query('lock table change in exclusive mode');
    const edit = admin.updateAgent({ agent: name, addLabels: ['again'] });
    await blocked(watcher, 1);
    await raw.query('select from agent where id = $1 for update', [agent?.id]);
    await raw.query('commit');
    assert.equal((await edit).agent?.labels, ['again']);
    await eventually(async () => (await deadlocks()) > before);
  } finally {
    await raw.end();
    await watcher.end();
  }
});

races('a rollback to an older revision is a newer order', async () => {
  const stack = fresh('stack');
  const agent = await startTestAgent(test, { name: fresh('agent'), labels: [stack] });
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'one') });
  const one = await eventually(() => agent.entry(stack));
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'two') });
  const two = await eventually(async () => {
    const entry = await agent.entry(stack);
    return entry.revision === 2 && entry;
  });
  await broker.rollbackStack({ stack, revision: 1 });
  const back = await eventually(async () => {
    const entry = await agent.entry(stack);
    return entry.revision === 3 && entry;
  });
  assert.ok(one.order < two.order && two.order < back.order);
  assert.equal(back.checksum, one.checksum);
  assert.is.not(back.deploymentId, one.deploymentId);
});

races.run();
