// time limit: 5 min
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokkrClient } from '../../client/client.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { GapReason, type TailStackRequestSchema, type TelemetryRecord } from '../../gen/brokkr/v1/telemetry_pb.ts';
import { type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { openEnvironment, until } from '../agent/test-environment.ts';
import { refused } from '../broker.ts';
import { podOf, tellEvent, workload } from '../pods.ts';

const environment = await openEnvironment({ brokers: 2 });
const { broker, admin } = environment;
const open: { stop(): Promise<void> }[] = [];
const story = suite('telemetry');
story.after(async () => {
  await environment.close();
  for (const cluster of open) await cluster.stop();
});

async function startCluster(): Promise<SimulatedCluster> {
  const cluster = await startSimulatedCluster({ readyDelayMs: 5, lineEveryMs: 0 });
  open.push(cluster);
  return cluster;
}

function textOf({ agent, item }: TelemetryRecord): string {
  const reported = item?.item;
  switch (reported?.case) {
    case 'line':
      return `${agent}: ${reported.value.line}`;
    case 'event':
      return `${agent}: ${reported.value.reason} ${reported.value.message}`;
    case 'gap':
      return `${agent}: gap of ${reported.value.count}: ${reported.value.reason}`;
    default:
      return 'nothing';
  }
}

function tail(client: BrokkrClient, request: MessageInitShape<typeof TailStackRequestSchema>) {
  const records: TelemetryRecord[] = [];
  const stop = new AbortController();
  let isUp = false;
  const ended = (async () => {
    for await (const message of client.broker.tailStack(request, { signal: stop.signal })) {
      isUp = true;
      records.push(...message.records);
    }
  })().catch(() => {});
  const texts = () => records.map(textOf);
  const has = (...wanted: string[]) =>
    until(
      () => wanted.every((text) => texts().includes(text)),
      () => `${wanted} among ${texts()}`,
    );
  return {
    records,
    texts,
    has,
    up: () =>
      until(
        () => isUp,
        () => 'the tail to stand',
      ),
    end: async () => {
      stop.abort();
      await ended;
    },
  };
}

/** Starts agents, each with a cluster, that serve a stack of one workload. */
async function serve(
  names: readonly string[],
  stack: string,
  agentOptions: Parameters<typeof environment.startAgent>[2] = {},
) {
  const clusters: SimulatedCluster[] = [];
  const agents = [];
  for (const [at, name] of names.entries()) {
    const cluster = await startCluster();
    clusters.push(cluster);
    const pak = await environment.createAgent(name, [stack]);
    const config = { brokerUrl: broker.urls[at % broker.urls.length]!, ...agentOptions.config };
    agents.push(await environment.startAgent(pak, cluster.kubeconfig, { ...agentOptions, config }));
  }
  await environment.submit(stack, [workload(stack), workload(`${stack}-silent`, false)], [stack]);
  for (const name of names) await environment.untilPhase(stack, name, PlacementPhase.APPLIED);
  return { clusters, agents };
}

/** Writes repeatedly until the agent follows the log: no other sign shows that it does. */
async function followed(cluster: SimulatedCluster, stack: string, agent: string): Promise<string> {
  const pod = await podOf(cluster, stack);
  cluster.write('default', pod, 'main', ['ready']);
  await until(
    async () => (await admin.broker.listPodLogs({ stack, agent })).records.map(textOf).includes(`${agent}: ready`),
    () => `${agent} to follow ${pod}`,
  );
  return pod;
}

story('lines and events of two clusters arrive at one tail, and are stored', async () => {
  const { clusters } = await serve(['east', 'west'], 'web');
  const pods = await Promise.all(clusters.map((cluster, at) => followed(cluster, 'web', ['east', 'west'][at]!)));
  const watching = tail(admin, { stack: 'web' });
  await watching.up();
  for (const [at, cluster] of clusters.entries()) {
    cluster.write('default', pods[at]!, 'main', ['one', 'two']);
    cluster.write('default', await podOf(cluster, 'web-silent'), 'main', ['not asked for']);
    tellEvent(cluster, pods[at]!, 'restarting failed container');
  }
  const wanted = ['east', 'west'].flatMap((name) => [
    `${name}: one`,
    `${name}: two`,
    `${name}: BackOff restarting failed container`,
  ]);
  await watching.has(...wanted);
  assert.equal(watching.texts().sort(), wanted.sort());
  const { records } = await admin.broker.listPodLogs({ stack: 'web', agent: 'east', oldestFirst: true });
  assert.equal(records.map(textOf), ['east: ready', 'east: one', 'east: two']);
  const history = tail(admin, { stack: 'web', startTime: timestampFromMs(0), historySize: 3 });
  await history.up();
  assert.is(history.records.length, 3);
  await history.end();
  await watching.end();
});

story('a restart of the broker loses no line, and repeats none', async () => {
  const { clusters } = await serve(['steady'], 'steady');
  const pod = await followed(clusters[0]!, 'steady', 'steady');
  const lines = Array.from({ length: 60 }, (_, at) => `line ${at}`);
  clusters[0]!.write('default', pod, 'main', lines.slice(0, 20));
  await broker.restart(0, async () => clusters[0]!.write('default', pod, 'main', lines.slice(20, 40)));
  clusters[0]!.write('default', pod, 'main', lines.slice(40));
  const kept = async () => (await admin.broker.listPodLogs({ stack: 'steady', oldestFirst: true })).records.map(textOf);
  await until(
    async () => (await kept()).includes('steady: line 59'),
    () => 'the last line',
  );
  assert.equal(await kept(), ['steady: ready', ...lines.map((line) => `steady: ${line}`)]);
});

story('lines that an agent drops while its session is cut leave a marker with their number', async () => {
  const telemetry = { outbox: { items: 10, bytes: 1 << 20 } };
  const { clusters } = await serve(['cut'], 'cut', { telemetry });
  const pod = await followed(clusters[0]!, 'cut', 'cut');
  const lines = Array.from({ length: 100 }, (_, at) => `line ${at}`);
  await broker.restart(0, async () => {
    clusters[0]!.write('default', pod, 'main', lines);
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  const kept = async () => (await admin.broker.listPodLogs({ stack: 'cut', oldestFirst: true })).records;
  await until(
    async () => (await kept()).map(textOf).includes('cut: line 99'),
    () => 'the last line',
  );
  const records = await kept();
  const reported = records.filter(({ item }) => item?.item.case === 'line').length - 1;
  const gaps = records.flatMap(({ item }) => (item?.item.case === 'gap' ? [item.item.value] : []));
  assert.ok(gaps.length > 0 && gaps.every(({ reason, pod: of }) => reason === GapReason.BUFFER_FULL && of === pod));
  assert.is(reported + gaps.reduce((sum, { count: missing }) => sum + Number(missing), 0), 100);
});

story('a tenant sees only the telemetry of its own stacks in a shared cluster', async () => {
  const cluster = await startCluster();
  const tenants = await Promise.all(
    ['red', 'blue'].map(async (name) => ({ name, pak: (await admin.admin.createGenerator({ name })).pak })),
  );
  const { pak } = await admin.admin.createAgent({ name: 'common', labels: ['common'], generators: ['red', 'blue'] });
  await environment.startAgent(pak, cluster.kubeconfig);
  for (const tenant of tenants) {
    const own = broker.client(tenant.pak).broker;
    await own.createStack({ name: 'app', labels: ['common'] });
    const manifest = Buffer.from(JSON.stringify(workload(`app-${tenant.name}`)));
    await own.submitDeployment({ stack: 'app', manifest });
    await environment.untilPhase(`${tenant.name}/app`, 'common', PlacementPhase.APPLIED);
  }
  const tails = tenants.map((tenant) => tail(broker.client(tenant.pak), { stack: 'app' }));
  for (const each of tails) await each.up();
  for (const [at, { name }] of tenants.entries()) {
    const pod = await podOf(cluster, `app-${name}`);
    await until(
      () => {
        cluster.write('default', pod, 'main', [`of ${name}`]);
        tellEvent(cluster, pod, `about ${name}`);
        const texts = tails[at]!.texts();
        return texts.includes(`common: of ${name}`) && texts.includes(`common: BackOff about ${name}`);
      },
      () => `what ${name}'s stack tells`,
    );
  }
  assert.not.ok(tails[0]!.texts().some((text) => text.includes('blue')));
  assert.not.ok(tails[1]!.texts().some((text) => text.includes('red')));
  await refused(broker.client(tenants[0]!.pak).broker.listPodLogs({ stack: 'blue/app' }), Code.NotFound);
  for (const each of tails) await each.end();
});

story('the operator of a cluster switches off its telemetry', async () => {
  const off = await serve(['mute'], 'mute', { config: { telemetry: 'off' } });
  const events = await serve(['terse'], 'terse', { config: { telemetry: 'events' } });
  const pods = await Promise.all([podOf(off.clusters[0]!, 'mute'), podOf(events.clusters[0]!, 'terse')]);
  const watching = tail(admin, { stack: 'terse' });
  await watching.up();
  await until(
    () => {
      for (const [at, { clusters }] of [off, events].entries()) {
        clusters[0]!.write('default', pods[at]!, 'main', ['a line']);
        tellEvent(clusters[0]!, pods[at]!, 'an event');
      }
      return watching.texts().includes('terse: BackOff an event');
    },
    () => 'an event',
  );
  await watching.end();
  assert.equal((await admin.broker.listPodLogs({ stack: 'terse' })).records, []);
  assert.equal((await admin.broker.listPodLogs({ stack: 'mute' })).records, []);
  assert.equal((await admin.broker.listKubernetesEvents({ stack: 'mute' })).records, []);
  assert.not.ok(off.clusters[0]!.requests.some(({ path }) => /\/(events|log)$/.test(path)));
});

story('without retention, followers still receive telemetry', async () => {
  const fleeting = await openEnvironment({
    postgres: broker.postgres,
    brokers: 2,
    config: { telemetryRetentionMs: 0 },
  });
  try {
    const cluster = await startCluster();
    await fleeting.startAgent(await fleeting.createAgent('live'), cluster.kubeconfig);
    await fleeting.submit('live', [workload('live')], ['live']);
    await fleeting.untilPhase('live', 'live', PlacementPhase.APPLIED);
    const pod = await podOf(cluster, 'live');
    const there = fleeting.broker.client(undefined, { url: fleeting.broker.urls[1]! });
    const watching = tail(there, { stack: 'live', startTime: timestampFromMs(0) });
    await watching.up();
    await until(
      () => {
        cluster.write('default', pod, 'main', ['now']);
        return watching.texts().includes('live: now');
      },
      () => 'a line',
    );
    await watching.end();
    assert.equal((await there.broker.listPodLogs({ stack: 'live' })).records, []);
  } finally {
    await fleeting.close();
  }
});

story.run();
