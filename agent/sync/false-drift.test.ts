// time limit: 10 min
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { createForeignWriter } from '../../test/agent/foreign-writer.ts';
import { stackId, until } from '../../test/agent/test-agent.ts';
import { applyStack } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, listAt, objectIdOf } from '../object/kube-object.ts';

const simulated = suite('what is no drift, simulated cluster');
const real = suite('what is no drift, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

/** The API server stores the quantity as 1, so that every pass has to ask by a dry run whether this has drifted. */
const web: KubeObject = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'busy', namespace: 'default' },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'busy' } },
    template: {
      metadata: { labels: { app: 'busy' } },
      spec: { containers: [{ name: 'c', image: 'web:1', resources: { requests: { cpu: '1000m' } } }] },
    },
  },
};

const group = 'rbac.authorization.k8s.io';
const label = { 'aggregated.example.org/to': 'yes' };
const aggregated: KubeObject = {
  apiVersion: `${group}/v1`,
  kind: 'ClusterRole',
  metadata: { name: 'aggregated' },
  ...{ aggregationRule: { clusterRoleSelectors: [{ matchLabels: label }] }, rules: [] },
};
const part: KubeObject = {
  apiVersion: `${group}/v1`,
  kind: 'ClusterRole',
  metadata: { name: 'aggregated-part', labels: label },
  rules: [{ apiGroups: [''], resources: ['services'], verbs: ['get'] }],
};

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const foreignWriter = createForeignWriter(testCluster);
  const stack = () => stackId(`no drift ${agents.namespace}`);

  test('a status that a controller writes between a look and the dry run', async () => {
    const testAgent = await start({ resyncMs: 30 });
    await applyStack(testAgent, { stackId: stack(), objects: [web] });
    testAgent.writes.length = 0;
    let count = 0;
    const write = () => {
      const message = `step ${++count}`;
      const time = new Date().toISOString().replace(/\.\d+/, '');
      const condition = {
        type: 'Busy',
        status: 'True',
        reason: 'Step',
        lastTransitionTime: time,
        lastUpdateTime: time,
      };
      return foreignWriter.patchStatus(objectIdOf(web), { conditions: [{ ...condition, message }] });
    };
    // The simulated cluster can be made to write just before each dry run; the real one is written all the time.
    const stop = testCluster.simulated?.onRequest(async ({ method, path, query, userAgent }) => {
      const isDryRun = method === 'PATCH' && path.endsWith('/busy') && query.includes('dryRun');
      if (isDryRun && userAgent.startsWith('brokkr-agent') && count < 40) await write();
    });
    const end = Date.now() + 2_000;
    while (Date.now() < end) {
      if (testCluster.simulated) await delay(50);
      else await write();
    }
    stop?.();
    assert.ok(count > 5, `${count} writes`);
    assert.equal(testAgent.objectWrites(), []);
    assert.equal(
      testAgent.events.map(({ outcome }) => outcome),
      ['applied'],
    );
  });

  test('a replica count that nobody applied, written in between', async () => {
    if (!testCluster.simulated) return;
    const testAgent = await start({ resyncMs: 30 });
    const { replicas: _, ...spec } = web.spec as Record<string, unknown>;
    await applyStack(testAgent, { stackId: stack(), objects: [{ ...web, spec }] });
    testAgent.writes.length = 0;
    let count = 1;
    const stop = testCluster.simulated.onRequest(async ({ method, path, query, userAgent }) => {
      const isDryRun = method === 'PATCH' && path.endsWith('/busy') && query.includes('dryRun');
      if (!isDryRun || !userAgent.startsWith('brokkr-agent') || count > 10) return;
      count += 1;
      await foreignWriter.patch(objectIdOf(web), { spec: { replicas: count } }, 'autoscaler');
    });
    await until(() => count > 10, 'the writes');
    await delay(200);
    stop();
    assert.equal(testAgent.objectWrites(), []);
  });

  test('the rules of an aggregated role', async () => {
    const testAgent = await start({ resyncMs: 100 });
    await applyStack(testAgent, { stackId: stack(), objects: [aggregated, part] });
    testAgent.writes.length = 0;
    const id = objectIdOf(aggregated);
    if (testCluster.simulated)
      await foreignWriter.patch(id, { rules: part.rules }, 'clusterrole-aggregation-controller');
    await until(async () => listAt(await admin.get(id), 'rules').length > 0, 'the rules');
    await delay(500);
    assert.equal(testAgent.objectWrites(), []);
    assert.is(testAgent.events.length, 1);
  });
}
