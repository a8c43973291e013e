import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BEHAVIOUR } from '../../sandbox/cluster/controllers/pod-status.ts';
import {
  openRealCluster,
  openSimulatedCluster,
  stackId,
  type TestAgent,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { agentsOn, applyStack } from '../../test/agent/test-agents.ts';
import { testConfigMap, withOrder } from '../../test/agent/wave-objects.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, objectIdOf } from '../object/kube-object.ts';

const simulated = suite('objects that run to an end and go by themselves, simulated cluster');
const real = suite('objects that run to an end and go by themselves, real API server with a simulated node');
describe(simulated, await openSimulatedCluster({ pods: true }));
if (needs('go')) describe(real, await openRealCluster({ node: true }));
simulated.run();
real.run();

function describe(test: typeof simulated, testCluster: TestCluster): void {
  const { admin } = testCluster;
  const agents = agentsOn(test, testCluster);
  const target = (name: string, objects: readonly KubeObject[], order = 1n) => ({
    stackId: stackId(`${agents.namespace} ${name}`),
    deploymentId: `d${order}`,
    order,
    objects,
  });
  const gone = (object: KubeObject) =>
    until(async () => (await admin.get(objectIdOf(object))) === undefined, `${object.metadata.name} to be gone`);
  const healthOf = (testAgent: TestAgent, { stackId: id }: { stackId: string }) =>
    testAgent.clusterState.healthMonitor.healthOf(id);
  const becomesHealthy = (testAgent: TestAgent, stack: { stackId: string }) =>
    until(() => healthOf(testAgent, stack)?.health === 'healthy', 'the stack to be healthy');
  const applies = (testAgent: TestAgent, name: string) =>
    testAgent.objectWrites().filter((write) => write === `apply Job default/${name}`).length;

  test('runs a Job once that is removed after its end, until a revision changes it', async () => {
    const testAgent = await agents.start({ resyncMs: 300 });
    const once = job('once', { ttl: 0 });
    const first = target('once', [testConfigMap('once'), once]);
    await applyStack(testAgent, first);
    await gone(once);
    await becomesHealthy(testAgent, first);
    await delay(1_500);
    assert.is(applies(testAgent, 'once'), 1);
    assert.is(healthOf(testAgent, first)?.health, 'healthy');
    await applyStack(testAgent, target('once', [testConfigMap('once', '2'), once], 2n));
    await delay(500);
    assert.is(applies(testAgent, 'once'), 1, 'another object was changed');
    await applyStack(
      testAgent,
      target('once', [testConfigMap('once', '2'), job('once', { ttl: 0, image: 'm:2' })], 3n),
    );
    assert.is(applies(testAgent, 'once'), 2, 'the Job itself was changed');
    assert.equal(
      testAgent.events.filter(({ outcome }) => outcome !== 'applied'),
      [],
    );
  });

  test('does not run it again after a restart of the agent', async () => {
    const before = await agents.start();
    const migrate = job('migrate', { ttl: 0 });
    const stack = target('migrate', [testConfigMap('migrate'), migrate]);
    await applyStack(before, stack);
    await gone(migrate);
    await becomesHealthy(before, stack);
    await delay(300);
    await before.close();
    const after = await agents.start({ namespace: agents.namespace });
    await applyStack(after, stack);
    await becomesHealthy(after, stack);
    assert.is(applies(after, 'migrate'), 0);
  });

  test('does not run it again when it ended while no agent was there, and says that its end was not seen', async () => {
    const before = await agents.start();
    const unseen = job('unseen', { ttl: 1, behaviour: 'not-ready' });
    const stack = target('unseen', [unseen]);
    await applyStack(before, stack);
    await before.close();
    await admin.remove(objectIdOf(unseen));
    await gone(unseen);
    const after = await agents.start({ namespace: agents.namespace });
    await applyStack(after, stack);
    assert.is(applies(after, 'unseen'), 0);
    const health = healthOf(after, stack);
    assert.is(health?.health, 'unknown');
    assert.match(health?.message ?? '', /Job default\/unseen: it is gone, as it asks to be/);
  });

  test('applies a Job again that somebody deletes before it has ended', async () => {
    const testAgent = await agents.start();
    const halted = job('halted', { ttl: 60, behaviour: 'not-ready' });
    await applyStack(testAgent, target('halted', [halted]));
    await until(async () => (await admin.get(objectIdOf(halted))) !== undefined, 'the job to be there');
    await delay(500);
    await admin.remove(objectIdOf(halted));
    await until(() => applies(testAgent, 'halted') === 2, 'the job to be applied again');
  });

  test('leaves a Job deleted that has succeeded, also without a time limit, and begins the next wave', async () => {
    const testAgent = await agents.start();
    const done = job('done', {});
    const stack = target('done', [done, withOrder(testConfigMap('after-done'), { wave: '1' })]);
    const applied = testAgent.nextEvent(stack.stackId, 'applied');
    testAgent.setTarget([stack]);
    await applied;
    await becomesHealthy(testAgent, stack);
    await delay(300);
    const before = applies(testAgent, 'done');
    await admin.remove(objectIdOf(done));
    await gone(done);
    const second = target('done', [done, withOrder(testConfigMap('after-done', '2'), { wave: '1' })], 2n);
    await applyStack(testAgent, second);
    assert.is(applies(testAgent, 'done'), before);
    await becomesHealthy(testAgent, second);
  });

  // The Jobs of the simulated cluster do not fail.
  const onReal = testCluster.simulated ? () => {} : test;
  onReal('says that a Job has failed that is gone since', async () => {
    const testAgent = await agents.start();
    const broken = job('broken', { ttl: 1, behaviour: 'crashing' });
    const stack = target('broken', [broken]);
    await applyStack(testAgent, stack);
    await gone(broken);
    const isFailed = () => /it failed, and was removed after its end/.test(healthOf(testAgent, stack)?.message ?? '');
    await until(isFailed, 'the stack to have failed');
    await delay(500);
    assert.is(applies(testAgent, 'broken'), 1);
  });
}

function job(name: string, more: { ttl?: number; image?: string; behaviour?: string }): KubeObject {
  const { ttl, image = 'm:1', behaviour } = more;
  const annotations = behaviour === undefined ? {} : { [BEHAVIOUR]: behaviour };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'default' },
    spec: {
      backoffLimit: 0,
      ...(ttl !== undefined && { ttlSecondsAfterFinished: ttl }),
      template: { metadata: { annotations }, spec: { restartPolicy: 'Never', containers: [{ name: 'm', image }] } },
    },
  };
}
