import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BEHAVIOUR } from '../../sandbox/cluster/controllers/pod-status.ts';
import { createForeignWriter } from '../../test/agent/foreign-writer.ts';
import {
  configMap,
  configMapId,
  connect,
  openRealCluster,
  openSimulatedCluster,
  stackId,
  type TargetStack,
  type TestAgent,
  type TestAgentOptions,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { explainHealth } from '../health/pod-diagnosis.ts';
import type { Health, StackHealth } from '../health/status.ts';
import { idOf, type KubeObject } from '../object/kube-object.ts';

const simulated = suite('health of a stack, simulated cluster');
const real = suite('health of a stack, real API server with a simulated node');
describe(simulated, await openSimulatedCluster({ pods: true }));
if (needs('go')) describe(real, await openRealCluster({ node: true }));
simulated.run();
real.run();

function describe(test: typeof simulated, testCluster: TestCluster): void {
  const { admin } = testCluster;
  const foreignWriter = createForeignWriter(testCluster);
  const agents = agentsOn(test, testCluster);
  const { start } = agents;
  let stack = '';
  const startWith = async (target: Omit<TargetStack, 'stackId'>, options: TestAgentOptions = {}) => {
    const testAgent = await start(options);
    testAgent.setTarget([{ stackId: stack, deploymentId: 'first', ...target }]);
    return testAgent;
  };
  const healthOf = (testAgent: TestAgent) => testAgent.clusterState.healthMonitor.healthOf(stack);
  const becomes = async (testAgent: TestAgent, health: Health, message = /.*/): Promise<StackHealth> => {
    const isSo = () => {
      const now = healthOf(testAgent);
      return now?.health === health && message.test(now.message);
    };
    await until(isSo, `${health} ${message}`).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${inspect(healthOf(testAgent), { depth: 4 })}`);
    });
    return healthOf(testAgent)!;
  };
  const podsOf = async (app: string) =>
    (await admin.list({ apiVersion: 'v1', kind: 'Pod' }, 'default')).filter(
      ({ metadata }) => metadata.labels?.app === app,
    );
  test.before.each(() => {
    stack = stackId(`health ${agents.namespace}`);
  });
  test('is healthy when every object is there, and says how many were checked', async () => {
    const testAgent = await startWith({ objects: [configMap('there-a', {}), configMap('there-b', {})] });
    const { objects, objectCount, deploymentId, generation } = await becomes(testAgent, 'healthy');
    assert.equal(
      { objects, objectCount, deploymentId, generation },
      { objects: [], objectCount: 2, deploymentId: 'first', generation: 1n },
    );
  });

  test('follows a workload by watching, and names the pod that keeps it from being ready', async () => {
    const testAgent = await startWith({
      objects: [configMap('beside', {}), web('ill', 3, { image: 'web:does-not-exist' })],
    });
    const message =
      /^Deployment default\/ill: 0 of 3 replicas ready; pod ill-[^ ]+: ImagePullBackOff: Back-off pulling image/;
    const { objects } = await becomes(testAgent, 'failed', message);
    assert.equal(
      objects.map(({ object, health }) => [object.kind, object.name, health]),
      [['Deployment', 'ill', 'failed']],
    );
  });

  test('distinguishes a container that keeps crashing from one that is not ready yet', async () => {
    const testAgent = await startWith({ objects: [web('ends', 1, { behaviour: 'crashing' })] });
    await becomes(testAgent, 'failed', /0 of 1 replicas ready; pod ends-[^ ]+: CrashLoopBackOff: back-off restarting/);
    testAgent.setTarget([
      { stackId: stack, deploymentId: 'second', order: 2n, objects: [web('starts', 1, { behaviour: 'not-ready' })] },
    ]);
    await becomes(testAgent, 'progressing', /pod starts-[^ ]+: its containers are not ready yet/);
  });

  test('becomes healthy when its workload does, and says when it no longer is', async () => {
    const testAgent = await startWith({ objects: [web('fine', 2), job('once')] });
    await becomes(testAgent, 'healthy');
    await testAgent.settled();
    assert.is(testAgent.events.length, 1, 'a changed status is no drift');
    if (testCluster.simulated) return;
    // The simulated cluster's workloads do not follow their pods.
    const [pod] = (await podsOf('fine')) as [KubeObject];
    await foreignWriter.patch(idOf(pod), { metadata: { annotations: { [BEHAVIOUR]: 'crashing' } } });
    await becomes(
      testAgent,
      'degraded',
      /1 of 2 replicas ready; pod fine-[^ ]+: CrashLoopBackOff: back-off restarting/,
    );
    assert.is(testAgent.events.length, 1, 'a pod is not the stack’s');
    await foreignWriter.patch(idOf(pod), { metadata: { annotations: { [BEHAVIOUR]: null } } });
    await becomes(testAgent, 'healthy');
  });

  test('is healthy when a job has completed, and says why one has failed', async () => {
    const testAgent = await startWith({ objects: [job('done')] });
    await becomes(testAgent, 'healthy');
    // The simulated cluster's jobs do not fail.
    if (testCluster.simulated) return;
    testAgent.setTarget([{ stackId: stack, deploymentId: 'second', order: 2n, objects: [job('bad', 'crashing')] }]);
    await becomes(
      testAgent,
      'failed',
      /^Job default\/bad: it failed: .*backoff limit; pod bad-[^ ]+: it failed: it ended with Error, exit code 1/,
    );
  });

  test('reads custom resources by their conditions', async () => {
    const testAgent = await startWith({
      objects: [definition(), { apiVersion: 'example.org/v1', kind: 'Gizmo', metadata: { name: 'one' } }],
    });
    await becomes(testAgent, 'healthy');
    const id = { apiVersion: 'example.org/v1', kind: 'Gizmo', namespace: 'default', name: 'one' };
    await foreignWriter.patchStatus(id, {
      conditions: [{ type: 'Ready', status: 'False', reason: 'Waits', message: 'for its database' }],
    });
    await becomes(testAgent, 'progressing', /^Gizmo default\/one: it is not ready: for its database$/);
    await foreignWriter.patchStatus(id, { conditions: [{ type: 'Stalled', status: 'True', reason: 'NoSuchChart' }] });
    await becomes(testAgent, 'failed', /NoSuchChart/);
  });

  test('names the last warning event, also of an event series', async () => {
    const claim: KubeObject = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'unbound', namespace: 'default', annotations: { [BEHAVIOUR]: 'not-ready' } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    };
    const { uid = '' } = (await admin.create(claim)).metadata;
    const event = (reason: string, times: object): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `unbound-${reason.toLowerCase()}`, namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: 'default', name: 'unbound', uid },
      type: 'Warning',
      reason,
      message: 'no room',
      ...times,
    });
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    const micro = (time: string) => time.replace('Z', '000Z');
    await admin.create(event('Before', { firstTimestamp: ago(60), lastTimestamp: ago(30), count: 2 }));
    const reporter = { action: 'Provision', reportingComponent: 'example.org/disks', reportingInstance: 'one' };
    const series = { count: 9, lastObservedTime: micro(ago(1)) };
    await admin.create(event('Lately', { ...reporter, eventTime: micro(ago(90)), series }));
    const observer = connect(testCluster.source);
    const verdict = await explainHealth(observer, idOf(claim), new AbortController().signal);
    observer.close();
    assert.match(verdict?.message ?? '', /; Lately: no room$/);
  });

  test('reports a deleted object as gone where drift is only reported', async () => {
    const testAgent = await startWith({ drift: 'report', objects: [configMap('lost', {})] });
    await becomes(testAgent, 'healthy');
    await admin.remove(configMapId('lost'));
    await becomes(testAgent, 'failed', /^ConfigMap default\/lost: it is gone$/);
  });

  test('is that of the desired deployment, not of the previous one', async () => {
    const testAgent = await startWith({ objects: [configMap('next', { k: '1' })] });
    await becomes(testAgent, 'healthy');
    const bad: KubeObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'refused', namespace: 'no-such' },
    };
    testAgent.setTarget([
      { stackId: stack, deploymentId: 'second', order: 2n, objects: [configMap('next', { k: '2' }), bad] },
    ]);
    const { objects, deploymentId } = await becomes(testAgent, 'progressing', /not applied yet/);
    assert.is(deploymentId, 'second');
    assert.is(objects.length, 2);
  });

  test('is unknown during an outage of the cluster, and known again afterwards', async () => {
    let outage: string | undefined;
    const testAgent = await startWith({ objects: [configMap('dark', {})] }, { outage: () => outage });
    await becomes(testAgent, 'healthy');
    outage = 'the Kubernetes API does not answer';
    await becomes(testAgent, 'unknown', /^the Kubernetes API does not answer$/);
    outage = undefined;
    await becomes(testAgent, 'healthy');
  });

  test('ends with the stack', async () => {
    const testAgent = await startWith({ objects: [configMap('over', {})] });
    await becomes(testAgent, 'healthy');
    const reported = testAgent.nextEvent(stack, 'removed');
    testAgent.setTarget([{ stackId: stack, state: 'removing', generation: 2n, order: 2n }]);
    await reported;
    assert.is(healthOf(testAgent), undefined);
    await delay(150);
    assert.equal(testAgent.clusterState.watches.counts, { up: 0, down: 0 });
  });
}

function web(name: string, replicas: number, { image = 'web:1', behaviour = '' } = {}): KubeObject {
  const metadata = { labels: { app: name }, annotations: { [BEHAVIOUR]: behaviour } };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: metadata.labels },
      template: { metadata, spec: { containers: [{ name: 'web', image }] } },
    },
  };
}

function job(name: string, behaviour = ''): KubeObject {
  const spec = { restartPolicy: 'Never', containers: [{ name: 'job', image: 'job:1' }] };
  const template = { metadata: { annotations: { [BEHAVIOUR]: behaviour } }, spec };
  return { apiVersion: 'batch/v1', kind: 'Job', metadata: { name }, spec: { backoffLimit: 0, template } };
}

function definition(): KubeObject {
  const names = { plural: 'gizmos', singular: 'gizmo', kind: 'Gizmo', listKind: 'GizmoList' };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const version = { name: 'v1', served: true, storage: true, schema, subresources: { status: {} } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'gizmos.example.org' },
    spec: { group: 'example.org', scope: 'Namespaced', names, versions: [version] },
  };
}
