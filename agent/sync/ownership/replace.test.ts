// time limit: 10 min
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../../test/agent/both-clusters.ts';
import { createForeignWriter } from '../../../test/agent/foreign-writer.ts';
import {
  configMap,
  configMapId,
  stackId,
  type TargetStack,
  type TestAgent,
  until,
} from '../../../test/agent/test-agent.ts';
import { submitStack } from '../../../test/agent/test-agents.ts';
import { needs } from '../../../test/runner/needs.ts';
import { type KubeObject, listAt, type ObjectId, objectIdOf, valueAt } from '../../object/kube-object.ts';

const simulated = suite('replacing objects, simulated cluster');
const real = suite('replacing objects, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const foreignWriter = createForeignWriter(testCluster);
  let order = 0n;
  const stack = () => stackId(`replacing ${agents.namespace}`);
  /** Submits objects as the stack's next deployment, and returns what came of it. */
  const submit = (testAgent: TestAgent, objects: readonly KubeObject[], more: Partial<TargetStack> = {}) => {
    order += 1n;
    return submitStack(testAgent, { stackId: stack(), order, deploymentId: `d${order}`, objects, ...more });
  };
  const uidOf = async (object: KubeObject) => (await admin.get(objectIdOf(object)))?.metadata.uid;
  const removals = (testAgent: TestAgent) => testAgent.writes.filter((write) => write.startsWith('remove '));

  test('are not done unasked: the message says what may not be changed, and what would help', async () => {
    const testAgent = await start();
    await submit(testAgent, [deployment('kept', 'a'), configMap('beside', { v: '1' })]);
    const { outcome, message } = await submit(testAgent, [deployment('kept', 'b'), configMap('beside', { v: '2' })]);
    assert.is(outcome, 'failed');
    assert.match(message, /^nothing was applied: Deployment default\/kept: .*spec\.selector: .*field is immutable/);
    assert.match(message, 'it is not replaced by itself; the annotation k8s.brokkr.io/replace: "true"');
    assert.equal(removals(testAgent), []);
    assert.equal((await admin.get(configMapId('beside')))?.data, { v: '1' });
  });

  test('are not done to a Job that has not ended', async () => {
    // The simulated cluster ends each Job at once.
    if (testCluster.simulated) return;
    const testAgent = await start();
    await submit(testAgent, [job('running', '1')]);
    const { message } = await submit(testAgent, [job('running', '2')]);
    assert.match(
      message,
      /Job default\/running: .*spec\.template: .*field is immutable; it is replaced once it has ended/,
    );
    assert.ok(message.length < 400, message);
    assert.equal(removals(testAgent), []);
  });

  test('are done for every object of a stack whose setting asks for it', async () => {
    const testAgent = await start();
    await submit(testAgent, [deployment('forced', 'a')]);
    const before = await uidOf(deployment('forced', 'a'));
    const event = await submit(testAgent, [deployment('forced', 'b')], { forceReplace: true });
    assert.is(event.outcome, 'applied', event.message);
    assert.match(event.changes[0]?.message ?? '', 'replaced: deleted and created again');
    assert.is.not(await uidOf(deployment('forced', 'b')), before);
  });

  test('are done where the object asks for it, and then what is new is applied', async () => {
    const testAgent = await start();
    await submit(testAgent, [job('asked', '1'), configMap('beside-asked', { v: '1' })]);
    const before = await uidOf(job('asked', '1'));
    const asking = job('asked', '2', { annotations: { 'k8s.brokkr.io/replace': 'true' } });
    const event = await submit(testAgent, [asking, configMap('beside-asked', { v: '2' })]);
    assert.is(event.outcome, 'applied', event.message);
    const change = event.changes.find(({ object }) => object.kind === 'Job');
    assert.is(change?.action, 'created');
    assert.match(change?.message ?? '', 'replaced: deleted and created again');
    assert.is.not(await uidOf(asking), before);
    assert.is(imageOf(await admin.get(objectIdOf(asking))), 'registry.example.org/migrate:2');
    assert.equal(removals(testAgent), ['remove Job default/asked']);
    testAgent.writes.length = 0;
    const again = { ...asking, metadata: { ...asking.metadata, labels: { a: 'b' } } };
    assert.is((await submit(testAgent, [again, configMap('beside-asked', { v: '2' })])).outcome, 'applied');
    assert.equal(removals(testAgent), [], 'what can be changed is not replaced');
  });

  test('are done for a Job that has ended, unless it says no', async () => {
    const testAgent = await start();
    await submit(testAgent, [job('ended', '1')]);
    await endJob(objectIdOf(job('ended', '1')));
    const refusing = job('ended', '2', { annotations: { 'k8s.brokkr.io/replace': 'false' } });
    assert.is((await submit(testAgent, [refusing])).outcome, 'failed');
    const event = await submit(testAgent, [job('ended', '2')]);
    assert.is(event.outcome, 'applied', event.message);
    assert.is(imageOf(await admin.get(objectIdOf(refusing))), 'registry.example.org/migrate:2');
  });

  test('are never done to what the stack did not create, or may not delete', async () => {
    const testAgent = await start();
    const annotations = { 'k8s.brokkr.io/replace': 'true' };
    await admin.create(job('theirs', '1'));
    const { message } = await submit(testAgent, [job('theirs', '2', { annotations })]);
    assert.match(message, 'it is not replaced, since this stack did not create it');
    const disabled = { ...annotations, 'k8s.brokkr.io/prune': 'disabled' };
    await submit(testAgent, [job('disabled', '1', { annotations: disabled })]);
    const refused = await submit(testAgent, [job('disabled', '2', { annotations: disabled })]);
    assert.match(refused.message, 'since its deletion is disabled');
    assert.equal(removals(testAgent), []);
  });

  test('wait for a confirmation where data would be lost', async () => {
    const testAgent = await start();
    const before = claim('1Gi', 'a');
    await submit(testAgent, [before]);
    const uid = await uidOf(before);
    const event = await submit(testAgent, [claim('1Gi', 'b')]);
    assert.is(event.outcome, 'held', event.message);
    assert.match(
      event.message,
      /^nothing was applied: 1 objects have to be deleted and created again: .*data would be lost/,
    );
    assert.is(await uidOf(before), uid);
    if (!testCluster.simulated) return;
    const confirmed = { confirmed: true, confirmedKeys: [...event.heldKeys] };
    const done = await submit(testAgent, [claim('1Gi', 'b')], confirmed);
    assert.is(done.outcome, 'applied', done.message);
    assert.is.not(await uidOf(before), uid);
  });

  test('are not begun when the object could not be created again', async () => {
    if (!testCluster.simulated) return;
    const testAgent = await start();
    await submit(testAgent, [job('checked', '1')]);
    const remove = testCluster.simulated.faults.add({
      pathIncludes: '/checked-replaced',
      status: 403,
      message: 'denied',
    });
    const asking = job('checked', '2', { annotations: { 'k8s.brokkr.io/replace': 'true' } });
    const { outcome, message } = await submit(testAgent, [asking]);
    assert.is(outcome, 'failed');
    assert.match(message, 'it could not be created again: denied');
    assert.equal(removals(testAgent), []);
    remove();
  });

  test('end in a new object also when the agent ends between deletion and creation', async () => {
    if (!testCluster.simulated) return;
    const testAgent = await start();
    await submit(testAgent, [job('halfway', '1')], { drift: 'report' });
    const asking = job('halfway', '2', { annotations: { 'k8s.brokkr.io/replace': 'true' } });
    const path = '/jobs/halfway?fieldManager=brokkr&force=true';
    let restore = () => {};
    const stop = testCluster.simulated.onRequest(({ method }) => {
      if (method !== 'DELETE') return;
      const fault = { method: 'PATCH', pathIncludes: path, status: 500, message: 'not now' };
      restore = testCluster.simulated?.faults.add(fault) ?? restore;
      stop();
    });
    assert.match((await submit(testAgent, [asking], { drift: 'report' })).message, 'not now');
    assert.is(await uidOf(asking), undefined, 'it is deleted, and not created yet');
    await testAgent.close();
    restore();
    const next = await start({ namespace: agents.namespace });
    order -= 1n;
    const event = await submit(next, [asking], { drift: 'report' });
    assert.is(event.outcome, 'applied', event.message);
    assert.ok(await uidOf(asking));
  });

  async function endJob(id: ObjectId): Promise<void> {
    const time = new Date().toISOString().replace(/\.\d+/, '');
    const met = { type: 'SuccessCriteriaMet', status: 'True', lastTransitionTime: time };
    const isEnded = async () => listAt(await admin.get(id), 'status', 'conditions').length > 0;
    if (testCluster.simulated) return until(isEnded, 'the end of the Job');
    await foreignWriter.patchStatus(id, { startTime: time, active: 0, ready: 0, conditions: [met] });
    const complete = { type: 'Complete', status: 'True', lastTransitionTime: time };
    await foreignWriter.patchStatus(id, {
      completionTime: time,
      active: 0,
      ready: 0,
      succeeded: 1,
      conditions: [met, complete],
    });
  }
}

function imageOf(object: KubeObject | undefined): unknown {
  const [container] = valueAt(object, 'spec', 'template', 'spec', 'containers') as unknown[];
  return valueAt(container, 'image');
}

function job(name: string, tag: string, metadata: object = {}): KubeObject {
  const containers = [{ name: 'm', image: `registry.example.org/migrate:${tag}` }];
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { template: { spec: { restartPolicy: 'Never', containers } } },
  };
}

function deployment(name: string, app: string): KubeObject {
  const containers = [{ name: 'c', image: 'registry.example.org/web:1' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: { selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec: { containers } } },
  };
}

function claim(storage: string, storageClassName: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data', namespace: 'default', annotations: { 'k8s.brokkr.io/replace': 'true' } },
    spec: { storageClassName, accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
  };
}
