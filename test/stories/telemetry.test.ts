// time limit: 5 min
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokkrClient } from '../../client/client.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { GapReason, type TailStackRequestSchema, type TelemetryRecord } from '../../gen/brokkr/v1/telemetry_pb.ts';
import { type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { openStage, until } from './agent-stage.ts';

const deadlineMs = 60_000;
const stage = await openStage({ brokers: 2 });
const { broker, admin } = stage;
const open: { stop(): Promise<void> }[] = [];
const story = suite('telemetry');
story.after(async () => {
  await stage.close();
  for (const cluster of open) await cluster.stop();
});

async function startCluster(): Promise<SimulatedCluster> {
  const cluster = await startSimulatedCluster({ readyDelayMs: 5, lineEveryMs: 0 });
  open.push(cluster);
  return cluster;
}

/** A workload of one pod, whose containers' lines are asked for, or not. */
function workload(name: string, asks = true): object {
  const labels = { app: name };
  const annotations = asks ? { 'brokkr.io/stream-logs': 'true' } : {};
  const containers = [{ name: 'main', image: 'main:1' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels, annotations }, spec: { containers } } },
  };
}

async function podOf(cluster: SimulatedCluster, app: string): Promise<string> {
  const find = () =>
    cluster.objects().find(({ kind, metadata }) => kind === 'Pod' && metadata.labels?.app === app)?.metadata.name;
  await until(
    () => find() !== undefined,
    () => `a pod of ${app}`,
  );
  return find()!;
}

/** An event as a controller writes it. */
function tellEvent(cluster: SimulatedCluster, pod: string, message: string): void {
  const uid = cluster.get('v1', 'Pod', 'default', pod)?.metadata.uid;
  const now = new Date().toISOString();
  cluster.put({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${pod}.${++count}`, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: pod, uid },
    type: 'Warning',
    reason: 'BackOff',
    message,
    count: 3,
    firstTimestamp: now,
    lastTimestamp: now,
    source: { component: 'kubelet' },
  });
}
let count = 0;

function textOf({ agent, item }: TelemetryRecord): string {
  const told = item?.item;
  switch (told?.case) {
    case 'line':
      return `${agent}: ${told.value.line}`;
    case 'event':
      return `${agent}: ${told.value.reason} ${told.value.message}`;
    case 'gap':
      return `${agent}: gap of ${told.value.count}: ${told.value.reason}`;
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

/** Agents, each with a cluster, that serve a stack of one workload. */
async function serve(names: readonly string[], stack: string, agentOptions: Parameters<typeof stage.agent>[2] = {}) {
  const clusters: SimulatedCluster[] = [];
  const agents = [];
  for (const [at, name] of names.entries()) {
    const cluster = await startCluster();
    clusters.push(cluster);
    const pak = await stage.enlist(name, [stack]);
    const config = { brokerUrl: broker.urls[at % broker.urls.length]!, ...agentOptions.config };
    agents.push(await stage.agent(pak, cluster.kubeconfig, { ...agentOptions, config }));
  }
  await stage.submit(stack, [workload(stack), workload(`${stack}-silent`, false)], [stack]);
  for (const name of names) await stage.reaches(stack, name, PlacementPhase.APPLIED);
  return { clusters, agents };
}

/** Writes again and again until the agent follows the log: nothing else says that it does. */
async function followed(cluster: SimulatedCluster, stack: string, agent: string): Promise<string> {
  const pod = await podOf(cluster, stack);
  cluster.write('default', pod, 'main', ['ready']);
  await until(
    async () => (await admin.broker.listPodLogs({ stack, agent })).records.map(textOf).includes(`${agent}: ready`),
    () => `${agent} to follow ${pod}`,
  );
  return pod;
}

story('lines and events of two clusters come to one tail, and are kept', async () => {
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

story.run();
void GapReason;
void deadlineMs;
