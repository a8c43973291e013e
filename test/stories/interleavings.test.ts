import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { configMap, startTestAgent } from '../agents.ts';
import { eventually, startTestBroker } from '../broker.ts';
import { blocked, openSession } from '../tools/database-session.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin, broker } = test.client();
/** Uses the other broker. */
const other = test.client(undefined, { url: test.urls[1] ?? '' });
const races = suite('interleavings that break simpler rules');
races.after(() => test.close());

let things = 0;
const fresh = (kind: string) => `${kind}-${++things}`;

/**
 * Starts calls one after another while no transaction that announces a change can commit: each has done its work by
 * then, or waits for one that has. Then lets all of them finish.
 */
async function overlapping(...calls: (() => Promise<unknown>)[]): Promise<PromiseSettledResult<unknown>[]> {
  const [holder, watcher] = [await openSession(test), await openSession(test)];
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

races('an agent and a stack that get the same label at once are matched', async () => {
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

races('a new agent and a new stack with the same label are matched', async () => {
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

races('a transaction that a deadlock ends runs again', async () => {
  const name = fresh('agent');
  const { agent } = await admin.createAgent({ name });
  const [raw, watcher] = [await openSession(test), await openSession(test)];
  const deadlocks = async () => {
    const { rows } = await watcher.query(
      'select deadlocks::int as count from pg_stat_database where datname = current_database()',
    );
    return rows[0]?.count as number;
  };
  try {
    const before = await deadlocks();
    await raw.query(`set deadlock_timeout = '60s'`); // the broker's session detects the deadlock, and ends
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
