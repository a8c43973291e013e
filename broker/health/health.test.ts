import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import type { WatchStackResponse } from '../../gen/brokkr/v1/stack_pb.ts';
import type { TargetEntry } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';
import { deleteOldHealth } from './store.ts';

const test = await startTestBroker({ brokers: 2 });
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const health = suite('health');
health.after(async () => {
  await db.close();
  await test.close();
});

let things = 0;
async function scene(count = 1) {
  const stack = `s${++things}`;
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const agents: TestAgent[] = [];
  for (let at = 0; at < count; at += 1)
    agents.push(await startTestAgent(test, { name: `${stack}-${at}`, labels: [stack] }));
  const [first] = agents;
  assert.ok(first);
  const entry = await eventually(() => first.entry(stack));
  return { stack, agents, agent: first, entry };
}

const reportOf = ({ stackId, deploymentId, generation }: TargetEntry, value: Health, message = '') => ({
  stackId,
  deploymentId,
  generation,
  health: value,
  message,
  objectCount: 3,
});
const report = (agent: TestAgent, ...stacks: object[]) =>
  agent.client.agent.reportHealth({ incarnation: agent.incarnation, stacks });
const placement = async (stack: string) => (await broker.listPlacements({ stack })).placements[0];

health('is shown with message and objects, by placement, stack and agent', async () => {
  const { stack, agent, entry } = await scene();
  assert.is((await placement(stack))?.health, Health.UNSPECIFIED);
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };
  const objects = [{ object, health: Health.DEGRADED, message: '1 of 3 replicas ready' }];
  await report(agent, { ...reportOf(entry, Health.DEGRADED, 'Deployment web: 1 of 3 replicas ready'), objects });
  const shown = await placement(stack);
  assert.equal([shown?.health, shown?.healthMessage], [Health.DEGRADED, 'Deployment web: 1 of 3 replicas ready']);
  assert.is((await broker.getStack({ stack })).stack?.health?.degraded, 1);
  const answer = await broker.getStackHealth({ stack });
  assert.equal([answer.health, answer.counts?.degraded], [Health.DEGRADED, 1]);
  const [one] = answer.agents;
  assert.equal(
    [one?.agent, one?.health, one?.objectCount, one?.deploymentId, one?.revision],
    [agent.name, Health.DEGRADED, 3, entry.deploymentId, 1],
  );
  assert.equal([one?.objects[0]?.object?.name, one?.objects[0]?.message], ['web', '1 of 3 replicas ready']);
});

health('is ignored when it is not about the desired state', async () => {
  const { stack, agent, entry } = await scene();
  const other = '00000000-0000-7000-8000-000000000000';
  await report(agent, { ...reportOf(entry, Health.FAILED), deploymentId: other });
  await report(agent, { ...reportOf(entry, Health.FAILED), deploymentId: '' });
  await report(agent, { ...reportOf(entry, Health.FAILED), generation: entry.generation + 1n });
  await report(agent, { ...reportOf(entry, Health.FAILED), generation: 2n ** 64n - 1n });
  await report(agent, { ...reportOf(entry, Health.FAILED), stackId: other });
  assert.is((await placement(stack))?.health, Health.UNSPECIFIED);
  await report(agent, reportOf(entry, Health.HEALTHY));
  assert.is((await placement(stack))?.health, Health.HEALTHY);
  // The state that was healthy is no longer the desired one.
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'b') });
  assert.is((await placement(stack))?.health, Health.UNSPECIFIED);
  const answer = await broker.getStackHealth({ stack });
  assert.equal([answer.health, answer.agents[0]?.health, answer.counts?.healthy], [0, 0, 0]);
});

health('is deleted with the placement', async () => {
  const { stack, agent, entry } = await scene();
  await report(agent, reportOf(entry, Health.HEALTHY));
  await admin.updateAgent({ agent: agent.name, removeLabels: [stack] });
  await eventually(async () => (await agent.removingStacks()).length === 1);
  assert.is((await placement(stack))?.health, Health.UNSPECIFIED);
  assert.equal((await broker.getStackHealth({ stack })).agents, []);
  await agent.reconcile();
  const rows = await db.sql('select 1 from placement_health where agent_id = $1', [agent.id]);
  assert.is(rows.length, 0);
});

health('has a history of changes, with a limit for each placement', async () => {
  const { stack, agent, entry } = await scene();
  for (const value of [Health.PROGRESSING, Health.PROGRESSING, Health.HEALTHY, Health.FAILED])
    await report(agent, reportOf(entry, value, `health ${value}`));
  const answer = await broker.getStackHealth({ stack });
  assert.equal(
    answer.history.map((change) => [change.agent, change.health, change.message]),
    [
      [agent.name, Health.FAILED, 'health 4'],
      [agent.name, Health.HEALTHY, 'health 1'],
      [agent.name, Health.PROGRESSING, 'health 2'],
    ],
  );
  const since = answer.agents[0]?.changeTime;
  await report(agent, reportOf(entry, Health.FAILED, 'still'));
  const again = (await broker.getStackHealth({ stack })).agents[0];
  assert.equal([again?.changeTime, again?.message], [since, 'still']);
  for (let at = 0; at < 120; at += 1) await report(agent, reportOf(entry, at % 2 ? Health.FAILED : Health.HEALTHY));
  const kept = await db.sql('select 1 from health_change where agent_id = $1', [agent.id]);
  assert.is(kept.length, 100);
  await db.sql(`update health_change set at = now() - interval '31 days' where agent_id = $1`, [agent.id]);
  await deleteOldHealth(db, 30);
  assert.equal((await broker.getStackHealth({ stack })).history, []);
  assert.is((await placement(stack))?.health, Health.FAILED);
});

health('is listed with the worst first, page by page', async () => {
  const { stack, agents } = await scene(5);
  const values = [Health.HEALTHY, Health.FAILED, Health.PROGRESSING, Health.UNKNOWN];
  for (const [at, value] of values.entries()) {
    const agent = agents[at] as TestAgent;
    await report(agent, reportOf(await agent.entry(stack), value));
  }
  const seen: [string, Health][] = [];
  for (let pageToken = '', pages = 0; pages < 10; pages += 1) {
    const answer = await broker.getStackHealth({ stack, pageSize: 2, pageToken });
    assert.is(answer.health, Health.UNKNOWN);
    if (pages > 0) assert.equal(answer.history, []);
    seen.push(...answer.agents.map((one): [string, Health] => [one.agent, one.health]));
    pageToken = answer.nextPageToken;
    if (pageToken === '') break;
  }
  assert.equal(seen, [
    [`${stack}-3`, Health.UNKNOWN],
    [`${stack}-1`, Health.FAILED],
    [`${stack}-2`, Health.PROGRESSING],
    [`${stack}-0`, Health.HEALTHY],
    [`${stack}-4`, Health.UNSPECIFIED],
  ]);
  const one = await broker.getStackHealth({ stack, agent: `${stack}-2` });
  assert.equal(
    one.agents.map(({ agent }) => agent),
    [`${stack}-2`],
  );
});

health('is refused from a start that was replaced, and never overwrites that of a later one', async () => {
  const { stack, agent, entry } = await scene();
  const old = agent.incarnation;
  await agent.start();
  await report(agent, reportOf(entry, Health.HEALTHY));
  await refused(
    agent.client.agent.reportHealth({ incarnation: old, stacks: [reportOf(entry, Health.FAILED)] }),
    Code.FailedPrecondition,
    /was replaced/,
  );
  assert.is((await placement(stack))?.health, Health.HEALTHY);
});

health('is the last one that a report names, which may be about many stacks', async () => {
  const { stack, agent, entry } = await scene();
  const second = `${stack}b`;
  await broker.createStack({ name: second, labels: [stack] });
  await broker.submitDeployment({ stack: second, manifest: configMap(second) });
  const other = await eventually(() => agent.entry(second));
  await report(
    agent,
    reportOf(entry, Health.FAILED),
    reportOf(other, Health.PROGRESSING),
    reportOf(entry, Health.HEALTHY),
  );
  assert.equal(
    [(await placement(stack))?.health, (await placement(second))?.health],
    [Health.HEALTHY, Health.PROGRESSING],
  );
  const both = Array.from({ length: 20 }, (_, at) =>
    at % 2
      ? report(agent, reportOf(entry, Health.HEALTHY), reportOf(other, Health.FAILED))
      : report(agent, reportOf(other, Health.HEALTHY), reportOf(entry, Health.FAILED)),
  );
  await Promise.all(both);
});

health('is sent to watchers of the stack on every broker', async () => {
  const { stack, agent, entry } = await scene();
  const messages: WatchStackResponse[] = [];
  const stop = new AbortController();
  const { broker: other } = test.client(undefined, { url: test.urls[1] ?? '' });
  const ended = (async () => {
    for await (const message of other.watchStack({ stack }, { signal: stop.signal })) messages.push(message);
  })();
  ended.catch(() => {});
  await eventually(() => messages.length > 0);
  await report(agent, reportOf(entry, Health.FAILED, 'crash loop'));
  const last = await eventually(() =>
    messages.findLast(({ placements }) => placements[0]?.healthMessage === 'crash loop'),
  );
  assert.equal([last.placements[0]?.health, last.stack?.health?.failed], [Health.FAILED, 1]);
  stop.abort();
  await Promise.allSettled([ended]);
});

health('is visible to the stack’s generator only', async () => {
  const { stack } = await scene();
  const { pak } = await admin.createGenerator({ name: 'stranger' });
  await refused(test.client(pak).broker.getStackHealth({ stack: `system/${stack}` }), Code.NotFound, 'not found');
});

health('does not hide events about waiting, drift and repairs', async () => {
  const { stack, agent, entry } = await scene();
  await agent.report(entry, Outcome.APPLIED, 'applied');
  await agent.report(entry, Outcome.DRIFTED, 'drifted');
  await agent.report(entry, Outcome.REPAIRED, 'repaired');
  const applied = await placement(stack);
  assert.equal([applied?.phase, applied?.message], [2, 'applied']);
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'b') });
  const next = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.revision === 2 && now;
  });
  await agent.report(next, Outcome.WAITING, 'waits for base');
  const waiting = await placement(stack);
  assert.equal([waiting?.phase, waiting?.message], [1, 'waits for base']);
  const { events } = await broker.listEvents({ stack });
  assert.equal(
    events.map(({ outcome }) => outcome),
    [Outcome.WAITING, Outcome.REPAIRED, Outcome.DRIFTED, Outcome.APPLIED],
  );
  assert.is((await broker.listEvents({ stack, outcome: Outcome.DRIFTED })).events.length, 1);
});

health('is part of the explanation of a placement, as are waiting and drift', async () => {
  const { stack, agent, entry } = await scene();
  const explain = async () => {
    const { summary, steps } = await broker.explainPlacement({ stack, agent: agent.name });
    return [summary, ...steps.slice(8).map(({ name, verdict, detail }) => `${name} ${verdict} ${detail}`)];
  };
  await agent.report(entry, Outcome.WAITING, 'for stack base to be healthy');
  await eventually(async () => (await explain())[0]?.startsWith('revision 1 waits: for stack base to be healthy'));
  assert.equal((await explain()).slice(1), ['not waiting 2 for stack base to be healthy']);
  await agent.report(entry, Outcome.APPLIED);
  const applied = 'applied 1 revision 1 is applied';
  assert.equal(await explain(), ['revision 1 is applied', applied]);
  await report(agent, reportOf(entry, Health.DEGRADED, '1 of 3 replicas ready'));
  assert.equal(await explain(), [
    'revision 1 is applied, but degraded: 1 of 3 replicas ready',
    applied,
    'healthy 2 degraded: 1 of 3 replicas ready',
  ]);
  await report(agent, reportOf(entry, Health.HEALTHY));
  await agent.report(entry, Outcome.DRIFTED, 'kubectl has changed .spec.replicas');
  assert.equal(await explain(), [
    'revision 1 is applied, but somebody else has changed it: kubectl has changed .spec.replicas',
    applied,
    'healthy 1 healthy',
    'drift 3 drifted: kubectl has changed .spec.replicas',
  ]);
  await agent.report(entry, Outcome.REPAIRED, 'kubectl had changed .spec.replicas');
  assert.is((await explain())[0], 'revision 1 is applied');
});

health.run();
