import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { AgentState, type Fleet, type FleetMember } from '../../gen/brokkr/v1/fleet_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';

const test = await startTestBroker({ brokers: 2 });
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const fleet = suite('the fleet');
fleet.after(async () => {
  await db.close();
  await test.close();
});

const read = async (): Promise<Fleet> => {
  const { fleet: all } = await admin.getFleet({});
  assert.ok(all);
  return all;
};
const statesOf = (all: Fleet) => [all.online, all.offline, all.paused, all.neverStarted, all.draining];
const silence = (agent: TestAgent) =>
  db.sql(`update agent_status set last_heartbeat_at = now() - interval '91 seconds' where agent_id = $1`, [agent.id]);
const reportHealth = async (agent: TestAgent, stack: string, health: Health) => {
  const { stackId, deploymentId, generation } = await agent.entry(stack);
  await agent.client.agent.reportHealth({
    incarnation: agent.incarnation,
    stacks: [{ stackId, deploymentId, generation, health }],
  });
};

/** Follows the fleet and knows what it was told. */
function follow(options: { pak?: string; url?: string } = {}) {
  const members = new Map<string, FleetMember>();
  const told: { fleet: Fleet | undefined; members: number; gone: string[] }[] = [];
  const stop = new AbortController();
  const { admin: from } = test.client(options.pak, options.url === undefined ? {} : { url: options.url });
  let now: Fleet | undefined;
  const ended = (async () => {
    for await (const message of from.watchFleet({}, { signal: stop.signal })) {
      told.push({ fleet: message.fleet, members: message.members.length, gone: message.goneAgentIds });
      now = message.fleet ?? now;
      for (const member of message.members) members.set(member.agent?.name ?? '', member);
      for (const id of message.goneAgentIds)
        for (const [name, { agent }] of members) if (agent?.id === id) members.delete(name);
    }
  })();
  ended.catch(() => {});
  return {
    members,
    told,
    get fleet() {
      return now;
    },
    ended,
    async end() {
      stop.abort();
      await Promise.allSettled([ended]);
    },
  };
}

fleet('is nothing at first', async () => {
  const all = await read();
  assert.equal([statesOf(all), all.stacks, all.oldestPendingTime], [[0, 0, 0, 0, 0], 0, undefined]);
  const watch = follow();
  await eventually(() => watch.fleet);
  await watch.end();
});

fleet('is counted: agents by state, placements by phase and health, and what waits longest', async () => {
  const before = Date.now();
  const names = ['on', 'off', 'stopped', 'leaving'];
  const agents = new Map<string, TestAgent>();
  for (const name of names) agents.set(name, await startTestAgent(test, { name, labels: ['all'] }));
  const [on, off, leaving] = ['on', 'off', 'leaving'].map((name) => agents.get(name) as TestAgent);
  assert.ok(on && off && leaving);
  await admin.createAgent({ name: 'new' });
  await broker.createStack({ name: 'web', labels: ['all'] });
  assert.is((await read()).oldestPendingTime, undefined, 'nothing was submitted yet');
  await broker.submitDeployment({ stack: 'web', manifest: configMap('web') });
  await admin.pauseAgent({ agent: 'stopped' });
  await admin.deleteAgent({ agent: 'leaving' });
  await on.report(await on.entry('web'), Outcome.APPLIED);
  await off.report(await off.entry('web'), Outcome.FAILED, 'no');
  await reportHealth(on, 'web', Health.DEGRADED);
  await reportHealth(off, 'web', Health.HEALTHY);
  await silence(off);
  await on.client.agent.heartbeat({ incarnation: on.incarnation, cluster: { reachable: false } });
  const all = await eventually(async () => {
    const now = await read();
    return now.clusterUnreachable === 1 && now;
  });
  assert.equal(statesOf(all), [1, 1, 1, 1, 1]);
  assert.is(all.stacks, 1);
  const { placements: phases, health } = all;
  assert.equal([phases?.applied, phases?.failed, phases?.pending, phases?.removing], [1, 1, 1, 1]);
  assert.equal([health?.degraded, health?.healthy, health?.failed], [1, 1, 0]);
  const oldest = all.oldestPendingTime && timestampMs(all.oldestPendingTime);
  assert.ok(oldest && oldest >= before - 5 && oldest <= Date.now());
});

fleet('is listed by label, state, name and trouble, page by page', async () => {
  const list = async (filter: object) => (await admin.listFleet(filter)).members.map(({ agent }) => agent?.name);
  assert.equal(await list({}), ['leaving', 'new', 'off', 'on', 'stopped']);
  assert.equal(await list({ label: 'all' }), ['leaving', 'off', 'on', 'stopped']);
  assert.equal(await list({ state: AgentState.OFFLINE }), ['off']);
  assert.equal(await list({ state: AgentState.NEVER_STARTED }), ['new']);
  assert.equal(await list({ search: 'o' }), ['off', 'on', 'stopped']);
  assert.equal(await list({ search: '%' }), []);
  assert.equal(await list({ troubled: true }), ['off', 'on', 'stopped']);
  const pages: (string | undefined)[][] = [];
  for (let pageToken = ''; pages.length < 10; ) {
    const answer = await admin.listFleet({ pageSize: 2, pageToken });
    pages.push(answer.members.map(({ agent }) => agent?.name));
    pageToken = answer.nextPageToken;
    if (pageToken === '') break;
  }
  assert.equal(pages, [['leaving', 'new'], ['off', 'on'], ['stopped']]);
  const { members } = await admin.listFleet({ search: 'on' });
  assert.equal(
    [members[0]?.state, members[0]?.health, members[0]?.agent?.placements?.applied],
    [AgentState.ONLINE, Health.DEGRADED, 1],
  );
  const { nextPageToken: pageToken } = await admin.listFleet({ pageSize: 1 });
  await refused(admin.listFleet({ pageSize: 1, pageToken, search: 'o' }), Code.InvalidArgument, 'page_token');
});

fleet('is watched: first everything, then what changes, on every broker', async () => {
  const watches = [follow(), follow({ url: test.urls[1] ?? '' })];
  for (const watch of watches) await eventually(() => watch.members.size === 5 && watch.fleet);
  const agent = await startTestAgent(test, { name: 'joins' });
  for (const watch of watches)
    await eventually(() => watch.members.get('joins')?.state === AgentState.ONLINE && watch.fleet?.online === 2);
  await admin.updateAgent({ agent: 'joins', addLabels: ['all'] });
  await eventually(async () => (await agent.activeStacks()).length === 1);
  await reportHealth(agent, 'web', Health.FAILED);
  for (const watch of watches)
    await eventually(() => watch.members.get('joins')?.health === Health.FAILED && watch.fleet?.health?.failed === 1);
  // Nobody tells that an agent has gone silent.
  await silence(agent);
  for (const watch of watches) await eventually(() => watch.members.get('joins')?.state === AgentState.OFFLINE, 30_000);
  await admin.deleteAgent({ agent: 'joins', orphan: true });
  for (const watch of watches) await eventually(() => !watch.members.has('joins') && watch.fleet?.online === 1);
  assert.is(watches[0]?.told.flatMap(({ gone }) => gone).length, 1);
  for (const watch of watches) await watch.end();
});

fleet('is not told again when only a heartbeat came', async () => {
  const watch = follow();
  await eventually(() => watch.members.size === 5);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = watch.told.length;
  const on = (await admin.getAgent({ agent: 'on' })).agent;
  await db.sql('update agent_status set last_heartbeat_at = now(), cluster_latency_ms = 7 where agent_id = $1', [
    on?.id,
  ]);
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  assert.equal(watch.told.slice(before), []);
  await watch.end();
});

fleet('is watched by those who come later as it is then', async () => {
  const first = follow();
  await eventually(() => first.members.size === 5);
  await admin.createAgent({ name: 'brief' });
  await eventually(() => first.members.has('brief'));
  await admin.deleteAgent({ agent: 'brief' });
  await eventually(() => !first.members.has('brief'));
  const second = follow();
  await eventually(() => second.members.size === 5 && second.fleet);
  assert.equal(second.told[0]?.gone, []);
  await first.end();
  await admin.createAgent({ name: 'later' });
  await eventually(() => second.members.has('later'));
  await second.end();
});

fleet('of thousands comes in messages of at most 500', async () => {
  await db.sql(
    `insert into agent (id, name) select gen_random_uuid(), 'many-' || n from generate_series(1, 1200) as n`,
  );
  const watch = follow();
  await eventually(() => watch.members.size > 1_200, 30_000);
  assert.ok(watch.told.every(({ members }) => members <= 500));
  assert.ok(watch.told.slice(1).every((message) => !message.fleet || message.members < 500));
  await db.sql(`delete from agent where name like 'many-%'`);
  await eventually(() => watch.members.size < 10, 30_000);
  await watch.end();
});

fleet('ends a watch with its key, and is for admins only', async () => {
  const { pak } = await admin.createAdminPak({ name: 'reader', readOnly: true });
  const watch = follow({ pak });
  await eventually(() => watch.fleet);
  const { paks } = await admin.listPaks({});
  const mine = paks.find((one) => one.owner === 'reader');
  await admin.revokePak({ pak: mine?.shortToken ?? '' });
  await refused(watch.ended, Code.Unauthenticated);
  const generator = await admin.createGenerator({ name: 'tenant' });
  await refused(test.client(generator.pak).admin.getFleet({}), Code.PermissionDenied);
});

fleet.run();
