import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../../test/agent/both-clusters.ts';
import { customResourceDefinition, removedStack } from '../../../test/agent/held-deletions.ts';
import { configMap, connect, stackId, type TestAgent, until } from '../../../test/agent/test-agent.ts';
import { needs } from '../../../test/runner/needs.ts';
import { hasStatus } from '../../kube/api-error.ts';
import { type KubeObject, type ObjectId, objectIdOf, stackLabel } from '../../object/kube-object.ts';

const simulated = suite('what goes with a deletion, simulated cluster');
const real = suite('what goes with a deletion, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, start }: ClusterContext): void {
  const { stack, apply, requestRemoval } = removedStack;
  const heldIn = ({ events }: TestAgent) => events.filter(({ outcome }) => outcome === 'held');
  /** Makes an API of which nobody answers, until `work` is done. */
  const whileSilent = async (apiVersion: string, work: (id: ObjectId) => Promise<void>) => {
    const object = apiService(apiVersion, 'nobody');
    await admin.create(object);
    const id = objectIdOf(object);
    try {
      await untilSilent(apiVersion);
      await work(id);
    } finally {
      await admin.remove(id);
    }
  };
  const untilSilent = async (apiVersion: string) => {
    const cluster = connect(testCluster.source);
    const { signal } = new AbortController();
    const isSilent = async () => {
      cluster.discovery.forget(apiVersion);
      return cluster.discovery.find(apiVersion, 'Any', signal).then(
        () => false,
        (error) => hasStatus(error, 503),
      );
    };
    await until(isSilent, 'the API not to answer');
    cluster.close();
  };

  test('lets go of the namespace default with a word, and ends the removal', async () => {
    const testAgent = await start();
    const labels = { team: 'a' };
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels } };
    await apply(testAgent, [namespace, configMap('in-default', {})]);
    const { outcome, message } = await requestRemoval(testAgent);
    assert.is(outcome, 'removed', message);
    assert.is(message, 'Namespace default was left where it is, since the cluster does not let it be deleted');
    const live = await admin.get(objectIdOf(namespace));
    assert.is(live?.metadata.labels?.[stackLabel], undefined);
  });

  test('holds a namespace while an API does not answer, names it, and goes on once that is confirmed', async () => {
    const testAgent = await start();
    await apply(testAgent, [room('silent-room')]);
    await whileSilent('down.example.org/v1beta1', async (id) => {
      const kinds = ['v1/Namespace'];
      const { outcome, message, heldKeys, changes } = await requestRemoval(testAgent, { kinds });
      assert.is(outcome, 'held', message);
      assert.match(changes[0]?.message ?? '', /the API down.example.org\/v1beta1 does not answer/);
      const next = requestRemoval(testAgent, { kinds, confirmed: true, confirmedKeys: heldKeys });
      if (testCluster.simulated) return assert.is((await next).outcome, 'removed');
      // The cluster itself does not delete a namespace before it knows what is in it.
      const { outcome: then, message: why } = await next;
      assert.is(then, 'waiting');
      assert.match(why, /Namespace silent-room is gone, which waits for .*down.example.org\/v1beta1/);
      const removed = testAgent.nextEvent(stack, 'removed');
      await admin.remove(id);
      await removed;
    });
  });

  test('removes what needs no look while an API does not answer', async () => {
    const testAgent = await start();
    await apply(testAgent, [configMap('no-look', {})]);
    await whileSilent('quiet.example.org/v1', async () => {
      assert.is((await requestRemoval(testAgent)).outcome, 'removed');
    });
  });

  test('removes the stack’s own APIServices first, so that they hold nothing up', async () => {
    const testAgent = await start();
    const service: KubeObject = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'adapter', namespace: 'adapter' },
      spec: { selector: { app: 'none' }, ports: [{ port: 443 }] },
    };
    const own = apiService('broken.example.org/v1beta1', 'adapter');
    await apply(testAgent, [room('adapter'), service, own]);
    await untilSilent('broken.example.org/v1beta1');
    const { outcome, message } = await requestRemoval(testAgent, { kinds: ['v1/Namespace'] });
    assert.is(outcome, 'removed', message);
    const removals = testAgent.objectWrites().filter((write) => write.startsWith('remove'));
    assert.is(removals[0], `remove APIService ${own.metadata.name}`);
  });

  test('asks nobody about kinds that vanish while it looks', async () => {
    const testAgent = await start();
    const bundle = stackId('bundle of definitions');
    const definitions = ['One', 'Two', 'Three', 'Four'].map((kind) =>
      customResourceDefinition('vanish.example.org', kind, true),
    );
    for (const round of [1n, 2n, 3n]) {
      const order = 2n * round;
      const [first, second] = [testAgent.nextEvent(stack, 'applied'), testAgent.nextEvent(bundle, 'applied')];
      const app = [room('shop'), configMap('a', { a: '1' }, 'shop')];
      const base = { deploymentId: `d${round}`, order, generation: order };
      testAgent.setTarget([
        { stackId: stack, ...base, objects: app },
        { stackId: bundle, ...base, objects: [room('bundle-room'), ...definitions] },
      ]);
      await Promise.all([first, second]);
      const gone = [testAgent.nextEvent(stack, 'removed'), testAgent.nextEvent(bundle, 'removed')];
      const removal = { ...base, order: order + 1n, generation: order + 1n, state: 'removing' } as const;
      testAgent.setTarget([
        { stackId: stack, ...removal },
        { stackId: bundle, ...removal },
      ]);
      await Promise.all(gone);
    }
    assert.equal(heldIn(testAgent), []);
  });

  test('waits for another removal that has something in its namespace', async () => {
    const testAgent = await start();
    const guest = stackId('guest');
    const base = { deploymentId: 'd', order: 1n };
    const applied = [testAgent.nextEvent(stack, 'applied'), testAgent.nextEvent(guest, 'applied')];
    testAgent.setTarget([
      { stackId: stack, ...base, objects: [room('host-room')] },
      { stackId: guest, ...base, dependsOnIds: [stack], objects: [configMap('guest', {}, 'host-room')] },
    ]);
    await Promise.all(applied);
    const gone = [testAgent.nextEvent(stack, 'removed'), testAgent.nextEvent(guest, 'removed')];
    const removal = { deploymentId: 'd', order: 2n, generation: 2n, state: 'removing' } as const;
    testAgent.setTarget([
      { stackId: stack, ...removal },
      { stackId: guest, ...removal },
    ]);
    await Promise.all(gone);
    assert.equal(heldIn(testAgent), []);
  });

  test('holds two namespaces that have something of each other’s stack, instead of waiting for ever', async () => {
    const testAgent = await start();
    const other = stackId('each other');
    const base = { deploymentId: 'd', order: 1n };
    const rooms = [testAgent.nextEvent(stack, 'applied'), testAgent.nextEvent(other, 'applied')];
    testAgent.setTarget([
      { stackId: stack, ...base, objects: [room('room-a')] },
      { stackId: other, ...base, objects: [room('room-b')] },
    ]);
    await Promise.all(rooms);
    const both = [testAgent.nextEvent(stack, 'applied'), testAgent.nextEvent(other, 'applied')];
    const next = { deploymentId: 'e', order: 2n };
    testAgent.setTarget([
      { stackId: stack, ...next, objects: [room('room-a'), configMap('of-a', {}, 'room-b')] },
      { stackId: other, ...next, objects: [room('room-b'), configMap('of-b', {}, 'room-a')] },
    ]);
    await Promise.all(both);
    const held = [testAgent.nextEvent(stack), testAgent.nextEvent(other)];
    const removal = { deploymentId: 'e', order: 3n, generation: 3n, state: 'removing' } as const;
    const targets = [
      { stackId: stack, ...removal },
      { stackId: other, ...removal },
    ];
    testAgent.setTarget(targets);
    const events = await Promise.all(held);
    assert.equal(
      events.map(({ outcome }) => outcome),
      ['held', 'held'],
    );
    const gone = [testAgent.nextEvent(stack, 'removed'), testAgent.nextEvent(other, 'removed')];
    testAgent.setTarget(
      targets.map((target, index) => ({
        ...target,
        order: 4n,
        confirmed: true,
        confirmedKeys: events[index]?.heldKeys ?? [],
      })),
    );
    await Promise.all(gone);
  });
}

function room(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

/** Builds the registration of an API that a Service, which has no pods, is to serve. */
function apiService(apiVersion: string, service: string): KubeObject {
  const [group = '', version = ''] = apiVersion.split('/');
  const backend = { name: service, namespace: service === 'nobody' ? 'default' : service };
  const priorities = { groupPriorityMinimum: 100, versionPriority: 100 };
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: `${version}.${group}` },
    spec: { group, version, ...priorities, insecureSkipTLSVerify: true, service: backend },
  };
}
