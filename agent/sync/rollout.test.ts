import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { configMapId, stackId, until } from '../../test/agent/test-agent.ts';
import { deployment, testConfigMap, withOrder } from '../../test/agent/wave-objects.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, objectIdOf } from '../object/kube-object.ts';

const simulated = suite('rollout in waves, simulated cluster');
const real = suite('rollout in waves, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { admin, agents, start }: ClusterContext): void {
  let stack = '';
  let other = '';
  // Objects that a test leaves behind belong to no stack of the next.
  test.before.each(() => {
    stack = stackId(`waves ${agents.namespace}`);
    other = stackId(`other ${agents.namespace}`);
  });
  const has = async (name: string) => (await admin.get(configMapId(name))) !== undefined;
  /** A machine that somebody else made, and that is not ready. */
  const prepare = async (name: string) => {
    if (!(await admin.get(objectIdOf(definition)))) await admin.create(definition);
    const made = async () => {
      try {
        return await admin.create({ ...machine(name), status: readiness('False') });
      } catch {
        return undefined;
      }
    };
    await until(async () => (await made()) !== undefined, 'the kind to be served');
  };
  const makeReady = (name: string) =>
    admin.edit(objectIdOf(machine(name)), (live) => ({ ...live, status: readiness('True') }));

  test('starts a wave when the one before is healthy, and prunes after the last', async () => {
    const testAgent = await start();
    let reported = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', objects: [testConfigMap('w-old')] }]);
    await reported;
    await prepare('w-data');
    const objects = [
      machine('w-data'),
      withOrder(testConfigMap('w-first'), {}),
      withOrder(testConfigMap('w-second'), { wave: '1' }),
    ];
    reported = testAgent.nextEvent(stack, 'waiting');
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'd2', objects }]);
    const waiting = await reported;
    assert.match(waiting.message, /wave 1 waits for wave 0: Machine default\/w-data is progressing/);
    assert.equal(waiting.changes.map(({ object }) => object.name).sort(), ['w-data', 'w-first']);
    assert.not(await has('w-second'));
    assert.ok(await has('w-old'), 'nothing is pruned before the last wave');
    const applied = testAgent.nextEvent(stack, 'applied');
    await makeReady('w-data');
    assert.equal(
      (await applied).changes.map(({ object, action }) => `${action} ${object.name}`),
      ['created w-second', 'deleted w-old'],
    );

    testAgent.writes.length = 0;
    const changed = testAgent.nextEvent(stack);
    testAgent.setTarget([
      {
        stackId: stack,
        order: 3n,
        deploymentId: 'd3',
        objects: objects.with(2, withOrder(testConfigMap('w-second', '2'), { wave: '1' })),
      },
    ]);
    await changed;
    assert.equal(testAgent.objectWrites(), ['apply ConfigMap default/w-second'], 'one change is one write');
  });

  test('stops at a wave in which an object has failed, and reports it', async () => {
    const testAgent = await start();
    await prepare('f-other');
    const failed = testAgent.nextEvent(stack, 'failed');
    const objects = [stalled('f-stuck'), withOrder(testConfigMap('f-after'), { wave: '1' })];
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    const { message, changes } = await failed;
    assert.match(message, /wave 1 waits for wave 0, of which some objects have failed: .*f-stuck: .*out of luck/);
    assert.ok(changes.some(({ object, action }) => object.name === 'f-stuck' && action === 'failed'));
    assert.not(await has('f-after'));
  });

  test('refuses what cannot be put into an order, before anything is changed', async () => {
    const testAgent = await start();
    testAgent.writes.length = 0;
    const failed = testAgent.nextEvent(stack, 'failed');
    testAgent.setTarget([
      {
        stackId: stack,
        objects: [
          testConfigMap('o-fine'),
          withOrder(testConfigMap('o-left'), { after: 'ConfigMap/o-right' }),
          withOrder(testConfigMap('o-right'), { after: 'ConfigMap/o-left' }),
        ],
      },
    ]);
    assert.match((await failed).message, /nothing was applied: .*each is to be applied after the next/);
    assert.equal(testAgent.objectWrites(), []);
  });

  test('removes in the reverse order', async () => {
    const testAgent = await start();
    const objects = [
      testConfigMap('r-0'),
      withOrder(testConfigMap('r-1'), { after: 'ConfigMap/r-0' }),
      withOrder(testConfigMap('r-2'), { wave: '1' }),
      withOrder(deployment('r-3'), { wave: '2' }),
    ];
    let reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    await reported;
    testAgent.writes.length = 0;
    reported = testAgent.nextEvent(stack, 'removed');
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'd2', generation: 2n, state: 'removing' }]);
    await reported;
    assert.equal(
      testAgent.objectWrites().map((write) => write.split('/')[1]),
      ['r-3', 'r-2', 'r-1', 'r-0'],
    );
  });

  test('waits for a stack that it depends on, and goes on when that is healthy', async () => {
    const testAgent = await start();
    await prepare('d-data');
    const dependency = { stackId: stack, stack: 'base', order: 1n, deploymentId: 'd1', objects: [machine('d-data')] };
    const dependent = {
      stackId: other,
      order: 2n,
      deploymentId: 'd2',
      dependsOnIds: [stack],
      objects: [testConfigMap('d-app')],
    };
    const unserved = testAgent.nextEvent(other, 'waiting');
    testAgent.setTarget([dependent]);
    assert.is(
      (await unserved).message,
      `waits for stack ${stack}, which this agent does not serve, or of which nothing was submitted yet`,
    );
    const free = stackId('free');
    const [waiting, applied] = [testAgent.nextEvent(other, 'waiting'), testAgent.nextEvent(free, 'applied')];
    testAgent.setTarget([dependency, dependent, { stackId: free, objects: [testConfigMap('d-free')] }]);
    await applied;
    await until(
      () =>
        testAgent.events.some(({ message }) =>
          /waits for stack ci\/base, which is progressing: .*d-data/.test(message),
        ),
      'the health of what it waits for',
    );
    assert.match((await waiting).message, 'waits for stack ci/base, which is');
    assert.not(await has('d-app'));
    const done = testAgent.nextEvent(other, 'applied');
    await makeReady('d-data');
    await done;
  });

  test('keeps an applied stack applied, and repairs it, while what it depends on is not healthy', async () => {
    const testAgent = await start();
    await prepare('k-data');
    const dependency = {
      stackId: stack,
      stack: 'base',
      order: 1n,
      deploymentId: 'd1',
      objects: [testConfigMap('k-base')],
    };
    const dependent = {
      stackId: other,
      order: 2n,
      deploymentId: 'd2',
      dependsOnIds: [stack],
      objects: [testConfigMap('k-app')],
    };
    const applied = testAgent.nextEvent(other, 'applied');
    testAgent.setTarget([dependency, dependent]);
    await applied;
    testAgent.setTarget([
      { ...dependency, order: 3n, deploymentId: 'd3', objects: [testConfigMap('k-base'), machine('k-data')] },
      dependent,
    ]);
    await testAgent.settled();
    await testAgent.close();
    const again = await start({ namespace: agents.namespace, resyncMs: 50 });
    again.setTarget([
      { ...dependency, order: 3n, deploymentId: 'd3', objects: [testConfigMap('k-base'), machine('k-data')] },
      dependent,
    ]);
    await again.settled();
    assert.equal(
      again.events.filter(({ stackId: id }) => id === other).map(({ outcome }) => outcome),
      ['applied'],
    );
    await admin.remove(configMapId('k-app'));
    await until(() => has('k-app'), 'the repair');
    const held = again.nextEvent(other, 'waiting');
    again.setTarget([
      { ...dependency, order: 3n, deploymentId: 'd3', objects: [testConfigMap('k-base'), machine('k-data')] },
      { ...dependent, order: 4n, deploymentId: 'd4', objects: [testConfigMap('k-app', '2')] },
    ]);
    assert.match((await held).message, 'k-data');
  });
}

const definition: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'machines.waves.example.org' },
  spec: {
    group: 'waves.example.org',
    scope: 'Namespaced',
    names: { kind: 'Machine', plural: 'machines', singular: 'machine', listKind: 'MachineList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

function machine(name: string): KubeObject {
  return { apiVersion: 'waves.example.org/v1', kind: 'Machine', metadata: { name, namespace: 'default' }, spec: {} };
}

function readiness(status: string) {
  return { conditions: [{ type: 'Ready', status, message: 'its turn will come' }] };
}

function stalled(name: string): KubeObject {
  const conditions = [{ type: 'Stalled', status: 'True', message: 'out of luck' }];
  return { ...machine(name), status: { conditions } };
}
