import { timestampMs } from '@bufbuild/protobuf/wkt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SessionHint } from '../../gen/brokkr/v1/target_state_pb.ts';
import { startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { openSession } from '../../test/sessions.ts';
import { openMigrated } from '../open-store.ts';

const test = await startTestBroker({ brokers: 2 });
const db = await openMigrated(test.config);
const { admin } = test.client();
const presence = suite('presence of an agent');
presence.after(async () => {
  await db.close();
  await test.close();
});

const shown = async ({ name }: TestAgent) => {
  const { agent } = await admin.getAgent({ agent: name });
  assert.ok(agent);
  return agent;
};
const millis = (latency: { seconds: bigint; nanos: number } | undefined) =>
  latency && Number(latency.seconds) * 1_000 + latency.nanos / 1e6;

presence('says whether the cluster is reached, by heartbeat and by session', async () => {
  const agent = await startTestAgent(test, { name: 'heart' });
  const unknown = await shown(agent);
  assert.equal([unknown.clusterReachable, unknown.clusterLatency, unknown.connectTime], [false, undefined, undefined]);
  const cluster = { reachable: true, latency: { seconds: 0n, nanos: 12_000_000 } };
  await agent.client.agent.heartbeat({ incarnation: agent.incarnation, cluster });
  await eventually(async () => millis((await shown(agent)).clusterLatency) === 12);
  assert.is((await shown(agent)).clusterReachable, true);
  // A heartbeat that says nothing of it changes nothing.
  await agent.client.agent.heartbeat({ incarnation: agent.incarnation });
  const session = await openSession(test, agent);
  session.heartbeat({ reachable: false });
  await eventually(async () => !(await shown(agent)).clusterReachable);
  assert.is((await shown(agent)).clusterLatency, undefined);
  for (const seconds of [2n ** 62n, -5n]) session.heartbeat({ reachable: true, latency: { seconds, nanos: 0 } });
  await eventually(async () => (await shown(agent)).clusterReachable);
  await session.end();
});

presence('is since when the session has been up, and ends with it', async () => {
  const agent = await startTestAgent(test, { name: 'present' });
  const before = Date.now();
  const session = await openSession(test, agent);
  const since = await eventually(async () => (await shown(agent)).connectTime);
  assert.ok(timestampMs(since) >= before - 1 && timestampMs(since) <= Date.now());
  session.heartbeat({ reachable: true });
  await eventually(async () => (await shown(agent)).clusterReachable);
  assert.equal((await shown(agent)).connectTime, since);
  await session.end();
  await eventually(async () => (await shown(agent)).connectTime === undefined);
});

presence('stays when another broker has taken the session over', async () => {
  const agent = await startTestAgent(test, { name: 'moved' });
  const first = await openSession(test, agent);
  const since = await eventually(async () => (await shown(agent)).connectTime);
  const second = await openSession(test, agent, test.urls[1] ?? '');
  const later = await eventually(async () => {
    const now = (await shown(agent)).connectTime;
    return now && timestampMs(now) > timestampMs(since) && now;
  });
  await first.end();
  // Until the end of the first must have been written.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal((await shown(agent)).connectTime, later);
  await second.end();
  await eventually(async () => (await shown(agent)).connectTime === undefined);
});

presence('of a session that a killed broker took along is not shown for ever', async () => {
  const agent = await startTestAgent(test, { name: 'left' });
  const session = await openSession(test, agent);
  await eventually(async () => (await shown(agent)).connectTime);
  await db.sql(`update agent_status set session_seen_at = now() - interval '91 seconds' where agent_id = $1`, [
    agent.id,
  ]);
  assert.is((await shown(agent)).connectTime, undefined);
  await session.end();
});

presence('ends with the start that it belongs to', async () => {
  const agent = await startTestAgent(test, { name: 'again' });
  const session = await openSession(test, agent);
  await eventually(async () => (await shown(agent)).connectTime);
  await agent.start();
  assert.is((await shown(agent)).connectTime, undefined);
  await eventually(() => session.hints.includes(SessionHint.FENCED));
  await session.end();
});

presence.run();
