import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { startFaultyProxy } from '../../test/agent/faulty-proxy.ts';
import { configMap } from '../../test/agent/test-agent.ts';
import { openEnvironment, until } from '../../test/agent/test-environment.ts';
import { createChangeSet } from '../concurrency/change-set.ts';
import type { StackHealth } from '../health/status.ts';
import { BrokerError } from './error.ts';
import { createHealthReporter } from './health-reporter.ts';

const environment = await openEnvironment();
const { admin } = environment;
const endings: (() => Promise<void>)[] = [];

const agents = suite('health at the broker');
agents.after.each(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});
agents.after(() => environment.close());

async function begin(name: string, config = {}) {
  const cluster = await startSimulatedCluster({ readyDelayMs: 10 });
  endings.push(() => cluster.stop());
  const agent = await environment.startAgent(await environment.createAgent(name), cluster.kubeconfig, { config });
  endings.push(agent.close);
  return { cluster, agent };
}

const healthOf = async (stack: string) => (await admin.broker.getStackHealth({ stack })).agents[0];
const becomes = (stack: string, health: Health) => {
  let last: unknown;
  return until(
    async () => {
      last = await healthOf(stack);
      return (await healthOf(stack))?.health === health;
    },
    () =>
      `${stack} to be ${health}: ${JSON.stringify(last, (_, value) => (typeof value === 'bigint' ? Number(value) : value))}`,
  );
};

agents('is reported on every change, with the reason and the object', async () => {
  await begin('changing');
  await environment.submit(
    'changing',
    [web('changing', 'web:does-not-exist'), configMap('changing', {})],
    ['changing'],
  );
  await becomes('changing', Health.FAILED);
  const found = await healthOf('changing');
  assert.match(
    found?.message ?? '',
    /^Deployment default\/changing: 0 of 2 replicas ready; pod changing-.*: ImagePullBackOff/,
  );
  assert.equal(
    found?.objects.map(({ object }) => object?.name),
    ['changing'],
  );
  assert.is(found?.objectCount, 2);
  await environment.submit('changing', [web('changing', 'web:2'), configMap('changing', {})], ['changing']);
  await becomes('changing', Health.HEALTHY);
  assert.is((await healthOf('changing'))?.message, '');
});

agents('is part of the metrics, with drift, watches and connectivity', async () => {
  const { agent, cluster } = await begin('measured');
  await environment.submit('measured', [configMap('measured', { k: '1' })], ['measured']);
  await environment.untilPhase('measured', 'measured', PlacementPhase.APPLIED);
  const metrics = async () => (await fetch(`${agent.healthUrl}/metrics`)).text();
  await until(
    async () => (await metrics()).includes('brokkr_agent_watches{state="up"} 1'),
    () => 'the watch',
  );
  cluster.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'measured' }, data: { k: 'x' } });
  await until(
    async () => (await metrics()).includes('brokkr_agent_drifted_objects_total{outcome="repaired"} 1'),
    () => 'the repair',
  );
  const text = await metrics();
  for (const line of [
    'brokkr_agent_stack_health{health="healthy"} 1',
    'brokkr_agent_objects 1',
    'brokkr_agent_peer_up{peer="broker"} 1',
    'brokkr_agent_peer_up{peer="cluster"} 1',
    'brokkr_agent_apply_seconds_count 2',
  ])
    assert.ok(text.includes(line), line);
});

agents('comes with heartbeats that say how the agent reaches its cluster', async () => {
  await begin('beating');
  const found = async () => (await admin.admin.getAgent({ agent: 'beating' })).agent;
  await until(
    async () => (await found())?.clusterReachable === true,
    () => 'a heartbeat',
  );
  assert.ok((await found())?.clusterLatency);
});

agents('repairs drift while the broker is away, and reports it in order afterwards', async () => {
  const url = new URL(environment.broker.url);
  const proxy = await startFaultyProxy({ host: url.hostname, port: Number(url.port) }, Math.random);
  endings.push(() => proxy.close());
  const { cluster } = await begin('apart', { brokerUrl: `http://127.0.0.1:${proxy.port}`, pullIntervalMs: 200 });
  const data = () => cluster.get('v1', 'ConfigMap', 'default', 'apart')?.data;
  await environment.submit('apart', [configMap('apart', { k: '1' })], ['apart']);
  await environment.untilPhase('apart', 'apart', PlacementPhase.APPLIED);
  await delay(300);
  proxy.inject('reset');
  cluster.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'apart' }, data: { k: 'x' } });
  await until(
    () => JSON.stringify(data()) === '{"k":"1"}',
    () => 'the repair',
  );
  cluster.remove('v1', 'ConfigMap', 'default', 'apart');
  await until(
    () => JSON.stringify(data()) === '{"k":"1"}',
    () => 'the object to be back',
  );
  const outcomes = async () =>
    (await admin.broker.listEvents({ stack: 'apart' })).events.map(({ outcome }) => outcome).reverse();
  proxy.inject('none', 0);
  await until(
    async () => (await outcomes()).length === 3,
    () => 'the events',
  );
  assert.equal(await outcomes(), [Outcome.APPLIED, Outcome.REPAIRED, Outcome.REPAIRED]);
  assert.is((await environment.placement('apart', 'apart'))?.phase, PlacementPhase.APPLIED);
});

const reporter = suite('health reporter');
const log = pino({ level: 'silent' });

reporter('reports only changes, the last of several, with a pause between calls', async () => {
  const now = new Map<string, StackHealth>();
  const calls: { at: number; reported: string[] }[] = [];
  const ending = new AbortController();
  const changes = createChangeSet();
  const made = createHealthReporter({
    broker: {
      reportHealth: async (stacks) =>
        void calls.push({ at: Date.now(), reported: stacks.map(({ stackId, message }) => `${stackId} ${message}`) }),
    },
    log,
    changes,
    healthOf: (stackId) => now.get(stackId),
    everyMs: 300,
  });
  const running = made.run(ending.signal);
  const set = (stackId: string, message: string) => {
    now.set(stackId, {
      stackId,
      deploymentId: 'd',
      generation: 1n,
      health: 'progressing',
      message,
      objects: [],
      objectCount: 1,
    });
    changes.add(stackId);
  };
  for (let number = 1; number <= 20; number++) set('a', `${number} of 20`);
  await until(
    () => calls.length === 1,
    () => 'the first call',
  );
  for (let number = 1; number <= 20; number++) set('b', `${number} of 20`);
  changes.add('a');
  changes.add('unknown');
  await until(
    () => calls.length === 2,
    () => 'the second call',
  );
  await delay(700);
  assert.equal(
    calls.map(({ reported }) => reported),
    [['a 20 of 20'], ['b 20 of 20']],
  );
  assert.ok(calls[1]!.at - calls[0]!.at >= 290);
  made.resend();
  await until(
    () => calls.length === 3,
    () => 'everything again',
  );
  assert.equal(calls[2]?.reported.sort(), ['a 20 of 20', 'b 20 of 20']);
  ending.abort();
  await running;
});

reporter('retries a failed report with the present health, at most 100 stacks at once', async () => {
  const sizes: number[] = [];
  let refusals = 2;
  const ending = new AbortController();
  const changes = createChangeSet();
  const made = createHealthReporter({
    broker: {
      async reportHealth(stacks) {
        if (refusals-- > 0) throw new BrokerError('unavailable', 'away', undefined);
        sizes.push(stacks.length);
      },
    },
    log,
    changes,
    healthOf: healthyOf,
    everyMs: 10,
    retry: { baseMs: 5, maxMs: 20 },
  });
  const running = made.run(ending.signal);
  for (let number = 0; number < 250; number++) changes.add(`stack-${number}`);
  await until(
    () => made.pending === 0,
    () => 'everything to be reported',
  );
  assert.equal(sizes, [100, 100, 50]);
  ending.abort();
  await running;
});

reporter('ends when the agent is fenced', async () => {
  let calls = 0;
  const changes = createChangeSet();
  const made = createHealthReporter({
    broker: {
      reportHealth: () => {
        calls += 1;
        return Promise.reject(new BrokerError('fenced', 'another one', undefined));
      },
    },
    log,
    changes,
    healthOf: healthyOf,
  });
  changes.add('a');
  await made.run(new AbortController().signal);
  assert.is(calls, 1);
});

agents.run();
reporter.run();

function healthyOf(stackId: string): StackHealth {
  return { stackId, deploymentId: 'd', generation: 1n, health: 'healthy', message: '', objects: [], objectCount: 1 };
}

function web(name: string, image: string) {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image }] } };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas: 2, selector: { matchLabels: labels }, template },
  };
}
