import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { stackId } from '../../test/agent/test-agent.ts';
import { deployment, testConfigMap, withOrder } from '../../test/agent/wave-objects.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, objectIdOf } from '../object/kube-object.ts';

const simulated = suite('objects that others wait for, simulated cluster');
const real = suite('objects that others wait for, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  let stack = '';
  let other = '';
  test.before.each(() => {
    stack = stackId(`holding ${agents.namespace}`);
    other = stackId(`held ${agents.namespace}`);
  });
  const become = async (objects: readonly KubeObject[]) => {
    const testAgent = await start();
    const applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    await applied;
    return testAgent;
  };

  test('begins the wave that a claim waits for when its class binds with the first pod', async () => {
    await become([
      storageClass('w-late', 'WaitForFirstConsumer'),
      claim('w-late', 'w-late'),
      withOrder(pod('w-late', 'w-late'), { wave: '1' }),
    ]);
    assert.ok(await admin.get(objectIdOf(pod('w-late', 'w-late'))));
  });

  // The simulated cluster binds such claims at once.
  const onReal = testCluster.simulated ? () => {} : test;
  onReal('waits for a claim whose class binds at once', async () => {
    const testAgent = await start();
    const waiting = testAgent.nextEvent(stack, 'waiting');
    const objects = [
      storageClass('w-soon', 'Immediate'),
      claim('w-soon', 'w-soon'),
      withOrder(testConfigMap('w-soon'), { wave: '1' }),
    ];
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    assert.match((await waiting).message, /PersistentVolumeClaim default\/w-soon is progressing/);
  });

  test('is not held up by a budget, a load balancer or an API whose pods come with a later wave', async () => {
    const labels = { app: 'w-pods' };
    const metadata = { name: 'w-pods', namespace: 'default' };
    const spec = { selector: labels, ports: [{ port: 80 }] };
    await become([
      {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata,
        spec: { minAvailable: 1, selector: { matchLabels: labels } },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata,
        spec: { ...spec, type: 'LoadBalancer', loadBalancerClass: 'example.org/none' },
      },
      apiService('w-pods'),
      withOrder(deployment('w-pods'), { wave: '1' }),
    ]);
    await admin.remove(objectIdOf(apiService('w-pods')));
  });

  test('lets a stack begin that brings the first pod for the claim of the one it depends on', async () => {
    const testAgent = await start();
    const storage = [storageClass('w-dep', 'WaitForFirstConsumer'), claim('w-dep', 'w-dep')];
    const applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: other, deploymentId: 'o', order: 1n, objects: storage },
      { stackId: stack, deploymentId: 'd', order: 2n, dependsOnIds: [other], objects: [pod('w-dep', 'w-dep')] },
    ]);
    await applied;
  });
}

function storageClass(name: string, volumeBindingMode: string): KubeObject {
  const provisioner = 'example.org/none';
  return { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name }, provisioner, volumeBindingMode };
}

function claim(name: string, storageClassName: string): KubeObject {
  const spec = { storageClassName, accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name, namespace: 'default' }, spec };
}

function pod(name: string, claimName: string): KubeObject {
  const containers = [{ name: 'db', image: 'db:1', volumeMounts: [{ name: 'data', mountPath: '/data' }] }];
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName } }];
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec: { containers, volumes } };
}

/** Builds an API that the Service of this name is to serve. */
function apiService(service: string): KubeObject {
  const group = `${service}.example.org`;
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: `v1.${group}` },
    spec: {
      group,
      version: 'v1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { name: service, namespace: 'default' },
    },
  };
}
