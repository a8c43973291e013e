import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FaultRule } from '../../sandbox/cluster/http/requests.ts';
import {
  configMap,
  configMapId,
  openRealCluster,
  openSimulatedCluster,
  stackId,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, objectIdOf, textAt } from '../object/kube-object.ts';

const troubles = suite('a cluster in trouble');
const simulated = suite('changes below an agent, simulated cluster');
const real = suite('changes below an agent, real API server');
const testCluster = await openSimulatedCluster();
const { start } = agentsOn(troubles, testCluster);
const fault = (rule: FaultRule) => testCluster.simulated?.faults.add(rule) ?? (() => false);
const valueIn = async (on: TestCluster, name: string) => textAt(await on.admin.get(configMapId(name)), 'data', 'k');

troubles(
  'is waited for while it does not answer at all: nothing is deleted, and all is applied when it does',
  async () => {
    const [one, two] = [stackId('down one'), stackId('down two')];
    const testAgent = await start();
    testAgent.setTarget([
      {
        stackId: one,
        order: 1n,
        deploymentId: 'd1',
        objects: [configMap('down-kept', { k: '1' }), configMap('down-gone', { k: '1' })],
      },
    ]);
    await testAgent.settled();
    const uid = (await testCluster.admin.get(configMapId('down-kept')))?.metadata.uid;
    const forget = fault({ drop: true });
    const failed = Promise.all([testAgent.nextEvent(one, 'failed'), testAgent.nextEvent(two, 'failed')]);
    testAgent.setTarget([
      { stackId: one, order: 2n, deploymentId: 'd2', objects: [configMap('down-kept', { k: '2' })] },
      { stackId: two, order: 3n, deploymentId: 'e1', objects: [configMap('down-new', { k: '1' })] },
    ]);
    for (const { message } of await failed) assert.match(message, /no answer from the Kubernetes API/);
    const reported = testAgent.events.length;
    await delay(1_000);
    assert.is(testAgent.events.length, reported, 'an outage is reported once');
    const applied = Promise.all([testAgent.nextEvent(one, 'applied'), testAgent.nextEvent(two, 'applied')]);
    forget();
    await applied;
    assert.is((await testCluster.admin.get(configMapId('down-kept')))?.metadata.uid, uid);
    assert.is(await valueIn(testCluster, 'down-kept'), '2');
    assert.is(await testCluster.admin.get(configMapId('down-gone')), undefined);
  },
);

troubles('is served as well when each of its responses takes long', async () => {
  const stack = stackId('slow');
  const testAgent = await start();
  const forget = fault({ delayMs: 300 });
  const objects = Array.from({ length: 10 }, (_, index) => configMap(`slow-${index}`, { k: '1' }));
  const applied = testAgent.nextEvent(stack, 'applied');
  testAgent.setTarget([{ stackId: stack, objects }]);
  assert.is((await applied).changes.length, 10);
  forget();
});

for (const status of [429, 500, 403]) {
  troubles(`keeps other stacks going when it answers ${status} for one kind`, async () => {
    const [ill, well] = [stackId(`ill ${status}`), stackId(`well ${status}`)];
    const testAgent = await start();
    const forget = fault({ pathIncludes: '/secrets', status, message: `trouble ${status}` });
    const secret: KubeObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `ill-${status}` } };
    const failed = testAgent.nextEvent(ill, 'failed');
    const applied = testAgent.nextEvent(well, 'applied');
    testAgent.setTarget([
      { stackId: ill, objects: [secret, configMap(`ill-${status}`, { k: '1' })] },
      { stackId: well, objects: [configMap(`well-${status}`, { k: '1' })] },
    ]);
    await applied;
    assert.match((await failed).message, `trouble ${status}`);
    assert.is(await testCluster.admin.get(configMapId(`ill-${status}`)), undefined);
    const healed = testAgent.nextEvent(ill, 'applied');
    forget();
    await healed;
  });
}

changes(simulated, await openSimulatedCluster());
if (needs('go')) changes(real, await openRealCluster());
troubles.run();
simulated.run();
real.run();

function changes(test: typeof simulated, on: TestCluster): void {
  const agents = agentsOn(test, on);

  test('upgrades a definition while its objects exist, and keeps them', async () => {
    const stack = stackId('upgraded');
    const testAgent = await agents.start();
    let applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: stack, order: 1n, deploymentId: 'd1', objects: [definition(['v1']), gadget('v1', { size: 1 })] },
    ]);
    await applied;
    const uid = (await on.admin.get(objectIdOf(gadget('v1', {}))))?.metadata.uid;
    applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      {
        stackId: stack,
        order: 2n,
        deploymentId: 'd2',
        objects: [definition(['v1', 'v2']), gadget('v2', { size: 2, color: 'red' })],
      },
    ]);
    const { changes: made } = await applied;
    assert.equal(
      made.map(({ object, action }) => `${action} ${object.kind} ${object.apiVersion}`),
      ['configured CustomResourceDefinition apiextensions.k8s.io/v1', 'configured Gadget shop.example.org/v2'],
    );
    const live = await on.admin.get(objectIdOf(gadget('v2', {})));
    assert.is(live?.metadata.uid, uid);
    assert.equal(live?.spec, { size: 2, color: 'red' });
  });

  test('finds its objects again when its inventory is lost, and deletes none that it does not know', async () => {
    const stack = stackId('forgetful');
    const objects = [configMap('lost-a', { k: '1' }), configMap('lost-b', { k: '1' })];
    const first = await agents.start();
    first.setTarget([{ stackId: stack, objects, order: 1n, deploymentId: 'd1' }]);
    await first.settled();
    await first.close();
    await on.admin.create(configMap('lost-stranger', { k: '1' }, 'default'));
    await on.admin.remove(configMapId(`brokkr-inv-${stack}-0`, agents.namespace));
    const second = await agents.start({ namespace: agents.namespace });
    second.setTarget([{ stackId: stack, objects, order: 1n, deploymentId: 'd1' }]);
    await second.settled();
    assert.equal(second.objectWrites(), []);
    const removed = second.nextEvent(stack, 'removed');
    second.setTarget([
      { stackId: stack, order: 2n, generation: 2n, deploymentId: 'd1', state: 'removing', kinds: ['v1/ConfigMap'] },
    ]);
    await removed;
    await until(async () => (await on.admin.get(configMapId('lost-a'))) === undefined, 'the removal');
    assert.ok(await on.admin.get(configMapId('lost-stranger')));
  });
}

function definition(versions: readonly string[]): KubeObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'gadgets.shop.example.org' },
    spec: {
      group: 'shop.example.org',
      scope: 'Namespaced',
      names: { kind: 'Gadget', plural: 'gadgets', singular: 'gadget', listKind: 'GadgetList' },
      versions: versions.map((name) => ({
        name,
        served: true,
        storage: name === versions.at(-1),
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: {
                  size: { type: 'integer' },
                  ...(name === 'v2' && { color: { type: 'string' } }),
                },
              },
            },
          },
        },
      })),
    },
  };
}

function gadget(version: string, spec: object): KubeObject {
  return {
    apiVersion: `shop.example.org/${version}`,
    kind: 'Gadget',
    metadata: { name: 'one', namespace: 'default' },
    spec,
  };
}
