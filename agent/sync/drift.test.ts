// time limit: 10 min
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { createForeignWriter } from '../../test/agent/foreign-writer.ts';
import {
  configMap,
  configMapId,
  stackId,
  type TargetStack,
  type TestAgent,
  type TestAgentOptions,
  until,
} from '../../test/agent/test-agent.ts';
import { applyStack } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { at, type KubeObject, type ObjectId } from '../object/kube-object.ts';

const simulated = suite('drift, simulated cluster');
const real = suite('drift, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const foreignWriter = createForeignWriter(testCluster);
  let stack = '';
  /** The same, with a stack applied and watched. */
  const startWith = async (target: Omit<TargetStack, 'stackId'>, options: TestAgentOptions = {}) => {
    const testAgent = await start(options);
    await applyStack(testAgent, { stackId: stack, ...target });
    await watched(testAgent);
    testAgent.writes.length = 0;
    return testAgent;
  };
  const watched = (testAgent: TestAgent) => {
    const { counts } = testAgent.clusterState.watches;
    return until(
      () => testAgent.clusterState.watches.counts.up > 0 && testAgent.clusterState.watches.counts.down === 0,
      `${counts.up} watches`,
    );
  };
  const dataOf = async (name: string) => (await admin.get(configMapId(name)))?.data;
  test.before.each(() => {
    stack = stackId(`drifting ${agents.namespace}`);
  });
  test('puts right what somebody changed, and tells which fields and who', async () => {
    const testAgent = await startWith({
      objects: [configMap('changed', { k: '1', other: 'x' }), configMap('calm', {})],
    });
    const reported = testAgent.nextEvent(stack, 'repaired');
    await foreignWriter.patch(configMapId('changed'), { data: { k: 'meddled' } });
    const { changes, message } = await reported;
    assert.equal(changes, [
      { object: configMapId('changed'), action: 'configured', fields: ['.data.k'], message: 'changed by kubectl-edit' },
    ]);
    assert.match(message, /applied again: ConfigMap default\/changed \(\.data\.k\): changed by kubectl-edit/);
    assert.equal(await dataOf('changed'), { k: '1', other: 'x' });
    assert.equal(testAgent.objectWrites(), ['apply ConfigMap default/changed']);
    await delay(500);
    assert.equal(
      testAgent.events.map(({ outcome }) => outcome),
      ['applied', 'repaired'],
    );
  });

  test('makes anew what somebody deleted', async () => {
    const testAgent = await startWith({ objects: [configMap('deleted', { k: '1' })] });
    const reported = testAgent.nextEvent(stack, 'repaired');
    await admin.remove(configMapId('deleted'));
    assert.equal((await reported).changes, [
      { object: configMapId('deleted'), action: 'created', fields: [], message: 'somebody deleted it' },
    ]);
    assert.equal(await dataOf('deleted'), { k: '1' });
  });

  test('notices that its label or its annotation was taken off', async () => {
    const testAgent = await startWith({ objects: [configMap('marked', { k: '1' })] });
    let reported = testAgent.nextEvent(stack, 'repaired');
    await foreignWriter.patch(configMapId('marked'), { metadata: { labels: { 'k8s.brokkr.io/stack-id': null } } });
    assert.equal((await reported).changes[0]?.fields, ['.metadata.labels."k8s.brokkr.io/stack-id"']);
    reported = testAgent.nextEvent(stack, 'repaired');
    await foreignWriter.patch(configMapId('marked'), { metadata: { annotations: { 'k8s.brokkr.io/checksum': 'x' } } });
    await reported;
    assert.is((await admin.get(configMapId('marked')))?.metadata.labels?.['k8s.brokkr.io/stack-id'], stack);
  });

  test('puts right a storm over 500 objects, each of them once', async () => {
    const names = Array.from({ length: 500 }, (_, index) => `storm-${index}`);
    const testAgent = await startWith({ objects: names.map((name) => configMap(name, { k: '1' })) });
    testCluster.simulated?.clearRequests();
    const meddled = names.values();
    const meddle = async () => {
      for (const name of meddled) await foreignWriter.patch(configMapId(name), { data: { k: 'meddled' } });
    };
    await Promise.all(Array.from({ length: 8 }, meddle));
    const repaired = () =>
      testAgent.events.filter(({ outcome }) => outcome === 'repaired').flatMap(({ changes }) => changes);
    await until(() => repaired().length >= names.length, 'the repairs');
    assert.is(new Set(repaired().map(({ object }) => object.name)).size, names.length);
    const maps = await admin.list({ apiVersion: 'v1', kind: 'ConfigMap' }, 'default');
    const storm = maps.filter(({ metadata }) => metadata.name.startsWith('storm-'));
    assert.equal([...new Set(storm.map(({ data }) => JSON.stringify(data)))], ['{"k":"1"}']);
    assert.is(testAgent.objectWrites().length, names.length);
    assert.not.ok(testAgent.events.some(({ message }) => /over and over/.test(message)));
    // Besides the meddling and one write each: a dry run of what differs, and a read of everything by each of a few passes.
    const asked =
      testCluster.simulated?.requests.filter(({ userAgent }) => userAgent.startsWith('brokkr-agent')).length ?? 0;
    assert.ok(asked < names.length * 6, `${asked} requests`);
  });

  test('leaves alone what others add, and what controllers write', async () => {
    const testAgent = await startWith({ objects: [configMap('added', { k: '1' }), web('added', 1)] });
    await foreignWriter.patch(configMapId('added'), {
      data: { theirs: 'y' },
      metadata: { annotations: { note: 'mine' } },
    });
    await foreignWriter.patch(idOfWeb('added'), { metadata: { labels: { team: 'a' } } });
    await foreignWriter.patchStatus(idOfWeb('added'), { observedGeneration: 1, replicas: 1 });
    await delay(700);
    assert.equal(testAgent.objectWrites(), []);
    assert.is(testAgent.events.length, 1);
    assert.equal(await dataOf('added'), { k: '1', theirs: 'y' });
  });

  test('only reports, once for each distinct drift, under the policy "report"', async () => {
    const testAgent = await startWith(
      { drift: 'report', objects: [configMap('told', { k: '1' }), configMap('gone', {})] },
      { resyncMs: 100 },
    );
    let reported = testAgent.nextEvent(stack, 'drifted');
    await foreignWriter.patch(configMapId('told'), { data: { k: 'meddled' } });
    assert.match(
      (await reported).message,
      /left as found: ConfigMap default\/told \(\.data\.k\): changed by kubectl-edit/,
    );
    await delay(500);
    assert.is(testAgent.events.length, 2, 'nothing new to tell at later looks');
    reported = testAgent.nextEvent(stack, 'drifted');
    await admin.remove(configMapId('gone'));
    assert.is((await reported).changes.length, 2);
    assert.equal(testAgent.objectWrites(), []);
    assert.equal(await dataOf('told'), { k: 'meddled' });
    assert.is(testAgent.clusterState.healthMonitor.healthOf(stack)?.health, 'failed');
    await testAgent.close();
    const again = await start({ namespace: agents.namespace });
    const first = again.nextEvent(stack, 'drifted');
    again.setTarget([
      { stackId: stack, drift: 'report', objects: [configMap('told', { k: '1' }), configMap('gone', {})] },
    ]);
    assert.is((await first).changes.length, 2, 'after a restart too');
    assert.equal(again.objectWrites(), []);
  });

  test('leaves it until the next deployment under the policy "ignore"', async () => {
    const testAgent = await startWith({ drift: 'ignore', objects: [configMap('free', { k: '1' })] }, { resyncMs: 50 });
    await foreignWriter.patch(configMapId('free'), { data: { k: 'meddled' } });
    await delay(400);
    assert.is(testAgent.events.length, 1);
    assert.equal(await dataOf('free'), { k: 'meddled' });
    const reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: stack, order: 2n, deploymentId: 'next', drift: 'ignore', objects: [configMap('free', { k: '1' })] },
    ]);
    await reported;
    assert.equal(await dataOf('free'), { k: '1' });
  });

  test('does not touch ignored fields that somebody else has set, in later deployments neither', async () => {
    const ignoredFields = [{ kind: 'apps/Deployment', name: '', paths: ['.spec.replicas'] }];
    const testAgent = await startWith({ ignoredFields, objects: [web('scaled', 2)] }, { resyncMs: 100 });
    const replicas = async () => at(await admin.get(idOfWeb('scaled')), 'spec', 'replicas');
    assert.is(await replicas(), 2, 'what nobody else has set is applied');
    await foreignWriter.patch(idOfWeb('scaled'), { spec: { replicas: 7 } }, 'horizontal-autoscaler');
    await delay(500);
    assert.equal(testAgent.objectWrites(), []);
    const reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: stack, order: 2n, deploymentId: 'next', ignoredFields, objects: [web('scaled', 3, 'web:2')] },
    ]);
    await reported;
    assert.is(await replicas(), 7);
    const repaired = testAgent.nextEvent(stack, 'repaired');
    await foreignWriter.patch(idOfWeb('scaled'), { spec: { replicas: 8, minReadySeconds: 9, paused: true } });
    await delay(300);
    await foreignWriter.patch(idOfWeb('scaled'), { spec: { revisionHistoryLimit: 1 } });
    assert.equal(
      (await repaired).changes[0]?.fields,
      ['.spec.revisionHistoryLimit'],
      'other fields are put right as ever',
    );
    assert.is(await replicas(), 8);
  });

  test('backs off from a fight, and says so', async () => {
    const testAgent = await startWith({ objects: [configMap('fought', { k: '1' })] });
    for (let round = 1; round <= 5; round++) {
      const reported = testAgent.nextEvent(stack, 'repaired');
      await foreignWriter.patch(configMapId('fought'), { data: { k: `round ${round}` } }, 'rival');
      const { message } = await reported;
      assert.is(/changed back over and over: it is left for 10 s now/.test(message), round === 5, message);
    }
    await foreignWriter.patch(configMapId('fought'), { data: { k: 'won' } }, 'rival');
    await delay(1_500);
    assert.equal(await dataOf('fought'), { k: 'won' });
  });

  test('puts its own fields right where others may not be taken over', async () => {
    const testAgent = await startWith({ conflict: 'refuse', objects: [configMap('own', { k: '1' })] });
    const reported = testAgent.nextEvent(stack, 'repaired');
    await foreignWriter.patch(configMapId('own'), { data: { k: 'meddled', theirs: '1' } });
    await reported;
    assert.equal(await dataOf('own'), { k: '1', theirs: '1' });
    const refused = testAgent.nextEvent(stack, 'failed');
    const objects = [configMap('own', { k: '1', theirs: '2' })];
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'next', conflict: 'refuse', objects }]);
    assert.match((await refused).message, /kubectl-edit/);
  });

  test('freezes while paused, and repairs when resumed', async () => {
    const target = { stackId: stack, objects: [configMap('frozen', { k: '1' })] };
    const testAgent = await startWith(target);
    testAgent.setTarget([], { paused: true });
    await foreignWriter.patch(configMapId('frozen'), { data: { k: 'meddled' } });
    await delay(500);
    assert.equal(await dataOf('frozen'), { k: 'meddled' });
    const reported = testAgent.nextEvent(stack, 'repaired');
    testAgent.setTarget([target]);
    await reported;
    assert.equal(await dataOf('frozen'), { k: '1' });
  });

  test('puts 500 objects right after a storm, in few events', async () => {
    const names = Array.from({ length: 500 }, (_, index) => `storm-${index}`);
    const testAgent = await startWith({ objects: names.map((name) => configMap(name, { k: '1' })) });
    for (let from = 0; from < names.length; from += 20)
      await Promise.all(
        names.slice(from, from + 20).map((name) => foreignWriter.patch(configMapId(name), { data: { k: 'x' } })),
      );
    const wrong = async () =>
      (await admin.list({ apiVersion: 'v1', kind: 'ConfigMap' }, 'default')).filter(
        ({ metadata, data }) => metadata.name.startsWith('storm-') && at(data, 'k') !== '1',
      ).length;
    await until(async () => (await wrong()) === 0, 'all to be right again');
    await testAgent.settled();
    assert.ok(testAgent.events.length < 30, `${testAgent.events.length} events`);
    assert.ok(testAgent.events.every(({ outcome }) => outcome !== 'failed'));
  });

  test('finds drift by its own looks when no watch tells', async () => {
    if (!testCluster.simulated) return;
    const remove = testCluster.simulated.faults.add({ pathIncludes: 'watch=true', status: 403 });
    const testAgent = await start({ resyncMs: 100 });
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, objects: [configMap('blind', { k: '1' })] }]);
    await reported;
    const repaired = testAgent.nextEvent(stack, 'repaired');
    await foreignWriter.patch(configMapId('blind'), { data: { k: 'meddled' } });
    await repaired;
    remove();
  });
}

function idOfWeb(name: string): ObjectId {
  return { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name };
}

function web(name: string, replicas: number, image = 'web:1'): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      revisionHistoryLimit: 3,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'web', image }] } },
    },
  };
}
