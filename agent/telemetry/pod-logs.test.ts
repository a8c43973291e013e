import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CollectedTelemetry, collectTelemetry, ownStack } from '../../test/agent/collected-telemetry.ts';
import { startInterruptible } from '../../test/agent/interruptible-cluster.ts';
import { openSimulatedCluster, until } from '../../test/agent/test-agent.ts';
import type { ObjectId } from '../object/kube-object.ts';
import { sizeOf } from './item.ts';

const forLogs = suite('logs of pods');
const testCluster = await openSimulatedCluster({ pods: true, lineEveryMs: 0 });
const line = await startInterruptible(testCluster);

const cluster = testCluster.simulated!;
const closing: CollectedTelemetry[] = [];
const start = (...args: Parameters<typeof collectTelemetry>) => {
  const opened = collectTelemetry(...args);
  closing.push(opened);
  return opened;
};
const deployment = (name: string, annotations: object = { 'brokkr.io/stream-logs': 'true' }) => {
  const labels = { app: name };
  const containers = [{ name: 'main', image: 'main:1' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels, annotations }, spec: { containers } },
    },
  };
};
/** Makes a workload, and answers how its pod writes. */
const run = async (name: string, annotations?: object) => {
  cluster.put(deployment(name, annotations) as never);
  const pod = () => cluster.objects().find(({ kind, metadata }) => kind === 'Pod' && metadata.labels?.app === name);
  await until(() => JSON.stringify(pod()?.status ?? {}).includes('"running"'), `a pod of ${name}`);
  const podName = pod()!.metadata.name;
  return { name: podName, write: (...lines: string[]) => cluster.write('default', podName, 'main', lines) };
};
const idOfWorkload = (name: string): ObjectId => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  namespace: 'default',
  name,
});
const linesOf = (opened: CollectedTelemetry) =>
  opened.items().flatMap((item) => (item.type === 'line' ? [item.text] : []));
const upTo = (opened: CollectedTelemetry, text: string) =>
  until(() => linesOf(opened).includes(text), `the line ${text}`);
forLogs.after.each(async () => {
  await Promise.all(closing.splice(0).map((opened) => opened.close()));
  for (const { kind, metadata } of cluster.objects())
    if (kind === 'Deployment') cluster.remove('apps/v1', 'Deployment', 'default', metadata.name);
});
forLogs.after(async () => {
  await line.close();
  await testCluster.close();
});

forLogs('are told from the beginning, of pods that ask for it and belong to a stack', async () => {
  const opened = start(testCluster);
  opened.own(idOfWorkload('asks'), idOfWorkload('silent'), idOfWorkload('other'));
  const asks = await run('asks');
  const others = [
    await run('silent', {}),
    await run('other', { 'brokkr.io/stream-logs': 'yes' }),
    await run('stranger'),
  ];
  for (const other of others) other.write('nobody asked');
  asks.write('one', 'two');
  await upTo(opened, 'two');
  assert.equal(opened.texts(), ['one', 'two']);
  assert.equal(opened.items()[0], {
    type: 'line',
    stackId: ownStack,
    source: { namespace: 'default', pod: asks.name, container: 'main' },
    at: opened.items()[0]!.type === 'line' ? (opened.items()[0] as { at: Date }).at : undefined,
    text: 'one',
    isTruncated: false,
  });
  cluster.put({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: asks.name, namespace: 'default', annotations: { 'brokkr.io/stream-logs': null } },
  } as never);
  await until(() => opened.streams() === 0, 'the stream to end');
});

forLogs('are told once each over broken connections', async () => {
  const opened = start({ source: line.source });
  opened.own(idOfWorkload('broken'));
  const pod = await run('broken');
  for (let round = 0; round < 5; round += 1) {
    pod.write(...Array.from({ length: 5 }, (_, at) => `${round}.${at}`));
    if (round > 0) await upTo(opened, `${round - 1}.4`);
    line.cut();
  }
  await upTo(opened, '4.4');
  const wanted = [0, 1, 2, 3, 4].flatMap((round) => [0, 1, 2, 3, 4].map((at) => `${round}.${at}`));
  assert.equal(linesOf(opened), wanted);
});

forLogs('that are too many are left out with a mark, and long lines are cut', async () => {
  const limits = { logs: { rate: { items: 20, bytes: 64 << 10 } } };
  const opened = start(testCluster, { limits });
  opened.own(idOfWorkload('noisy'));
  const pod = await run('noisy');
  pod.write(...Array.from({ length: 100 }, (_, at) => `line ${at}`));
  await until(() => opened.texts().some((text) => /^gap of \d+: rate_limit$/.test(text)), 'the mark');
  await until(async () => {
    pod.write('x'.repeat(20_000));
    return opened.items().some((item) => item.type === 'line' && item.isTruncated);
  }, 'the long line');
  const long = opened.items().find((item) => item.type === 'line' && item.isTruncated)!;
  assert.ok(sizeOf(long) < 9_000);
  const lines = opened.items().filter(({ type }) => type === 'line').length;
  const missing = opened.items().reduce((sum, item) => sum + (item.type === 'gap' ? item.count : 0), 0);
  assert.ok(missing >= 60 && lines >= 20, `${lines} lines and ${missing} missing`);
});

forLogs('of what writes without an end are skipped', async () => {
  const opened = start(testCluster, { limits: { logs: { rate: { items: 1_000, bytes: 10_000 } } } });
  opened.own(idOfWorkload('endless'));
  const pod = await run('endless');
  pod.write(...Array.from({ length: 2_000 }, (_, at) => `line ${at} ${'x'.repeat(100)}`));
  await until(() => opened.texts().some((text) => /^gap of \d+: rate_limit$/.test(text)), 'the mark');
  await until(() => {
    pod.write('later');
    return linesOf(opened).includes('later');
  }, 'what is written later');
  assert.not.ok(linesOf(opened).some((text) => text.startsWith('line 1999')));
});

forLogs('are followed no more at once than allowed, with a mark for those that wait', async () => {
  const opened = start(testCluster, { limits: { logs: { streams: 1 } } });
  opened.own(idOfWorkload('first'), idOfWorkload('second'));
  const first = await run('first');
  first.write('of the first');
  await upTo(opened, 'of the first');
  const second = await run('second');
  second.write('of the second');
  await until(() => opened.texts().includes('gap of 0: stream_limit'), 'the mark');
  assert.not.ok(linesOf(opened).includes('of the second'));
  cluster.remove('apps/v1', 'Deployment', 'default', 'first');
  await upTo(opened, 'of the second');
});

forLogs('of before the agent began are not told, and a mark says so', async () => {
  const pod = await run('older');
  pod.write('before');
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const opened = start(testCluster);
  opened.own(idOfWorkload('older'));
  await until(() => opened.texts().includes('gap of 0: not_followed') && opened.streams() === 1, 'the mark');
  await until(() => {
    pod.write('now');
    return linesOf(opened).includes('now');
  }, 'what is written now');
  assert.not.ok(linesOf(opened).includes('before'));
});

forLogs('are read with the rights of the stack’s own account', async () => {
  const opened = start(testCluster, { account: 'default/deployer' });
  opened.own(idOfWorkload('limited'));
  cluster.clearRequests();
  (await run('limited')).write('seen');
  await upTo(opened, 'seen');
  const asked = cluster.requests.filter(({ path }) => path.endsWith('/log'));
  assert.ok(asked.length > 0);
  assert.ok(asked.every(({ impersonated }) => impersonated === 'system:serviceaccount:default:deployer'));
});

forLogs('are not asked for where only events are told', async () => {
  const opened = start(testCluster, { level: 'events' });
  opened.own(idOfWorkload('quiet'));
  cluster.clearRequests();
  (await run('quiet')).write('unheard');
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(linesOf(opened), []);
  assert.not.ok(cluster.requests.some(({ path }) => path.endsWith('/log') || path.endsWith('/pods')));
});

forLogs.run();
