import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FaultRule } from '../../sandbox/cluster/http/requests.ts';
import { configMap, idOfMap, type Lab, openReal, openSimulated, stackId, until } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { idOf, type KubeObject, textAt } from '../object/kube-object.ts';

const troubles = suite('a cluster in trouble');
const simulated = suite('what changes below an agent, simulated cluster');
const real = suite('what changes below an agent, real API server');
const lab = await openSimulated();
const { start } = agentsOn(troubles, lab);
const fault = (rule: FaultRule) => lab.simulated?.faults.add(rule) ?? (() => false);
const valueIn = async (on: Lab, name: string) => textAt(await on.hand.get(idOfMap(name)), 'data', 'k');

troubles(
  'is waited for while it does not answer at all: nothing is deleted, and all is applied when it does',
  async () => {
    const [one, two] = [stackId('down one'), stackId('down two')];
    const core = await start();
    core.tell([
      {
        stackId: one,
        order: 1n,
        deploymentId: 'd1',
        objects: [configMap('down-kept', { k: '1' }), configMap('down-gone', { k: '1' })],
      },
    ]);
    await core.settled();
    const uid = (await lab.hand.get(idOfMap('down-kept')))?.metadata.uid;
    const forget = fault({ drop: true });
    const failed = Promise.all([core.next(one, 'failed'), core.next(two, 'failed')]);
    core.tell([
      { stackId: one, order: 2n, deploymentId: 'd2', objects: [configMap('down-kept', { k: '2' })] },
      { stackId: two, order: 3n, deploymentId: 'e1', objects: [configMap('down-new', { k: '1' })] },
    ]);
    for (const { message } of await failed) assert.match(message, /no answer from the Kubernetes API/);
    const told = core.events.length;
    await delay(1_000);
    assert.is(core.events.length, told, 'an outage is told once');
    const applied = Promise.all([core.next(one, 'applied'), core.next(two, 'applied')]);
    forget();
    await applied;
    assert.is((await lab.hand.get(idOfMap('down-kept')))?.metadata.uid, uid);
    assert.is(await valueIn(lab, 'down-kept'), '2');
    assert.is(await lab.hand.get(idOfMap('down-gone')), undefined);
  },
);

troubles('is served as well when each of its answers takes long', async () => {
  const stack = stackId('slow');
  const core = await start();
  const forget = fault({ delayMs: 300 });
  const objects = Array.from({ length: 10 }, (_, index) => configMap(`slow-${index}`, { k: '1' }));
  const applied = core.next(stack, 'applied');
  core.tell([{ stackId: stack, objects }]);
  assert.is((await applied).changes.length, 10);
  forget();
});

for (const status of [429, 500, 403]) {
  troubles(`keeps other stacks going when it answers ${status} for one kind`, async () => {
    const [ill, well] = [stackId(`ill ${status}`), stackId(`well ${status}`)];
    const core = await start();
    const forget = fault({ pathIncludes: '/secrets', status, message: `trouble ${status}` });
    const secret: KubeObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `ill-${status}` } };
    const failed = core.next(ill, 'failed');
    const applied = core.next(well, 'applied');
    core.tell([
      { stackId: ill, objects: [secret, configMap(`ill-${status}`, { k: '1' })] },
      { stackId: well, objects: [configMap(`well-${status}`, { k: '1' })] },
    ]);
    await applied;
    assert.match((await failed).message, `trouble ${status}`);
    assert.is(await lab.hand.get(idOfMap(`ill-${status}`)), undefined);
    const healed = core.next(ill, 'applied');
    forget();
    await healed;
  });
}

changes(simulated, await openSimulated());
if (needs('go')) changes(real, await openReal());
troubles.run();
simulated.run();
real.run();

function changes(test: typeof simulated, on: Lab): void {
  const agents = agentsOn(test, on);

  test('upgrades a definition while its objects exist, and keeps them', async () => {
    const stack = stackId('upgraded');
    const core = await agents.start();
    let applied = core.next(stack, 'applied');
    core.tell([
      { stackId: stack, order: 1n, deploymentId: 'd1', objects: [definition(['v1']), gadget('v1', { size: 1 })] },
    ]);
    await applied;
    const uid = (await on.hand.get(idOf(gadget('v1', {}))))?.metadata.uid;
    applied = core.next(stack, 'applied');
    core.tell([
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
    const live = await on.hand.get(idOf(gadget('v2', {})));
    assert.is(live?.metadata.uid, uid);
    assert.equal(live?.spec, { size: 2, color: 'red' });
  });

  test('finds its objects again when its inventory is lost, and deletes none that it does not know', async () => {
    const stack = stackId('forgetful');
    const objects = [configMap('lost-a', { k: '1' }), configMap('lost-b', { k: '1' })];
    const first = await agents.start();
    first.tell([{ stackId: stack, objects, order: 1n, deploymentId: 'd1' }]);
    await first.settled();
    await first.close();
    await on.hand.create(configMap('lost-stranger', { k: '1' }, 'default'));
    await on.hand.remove(idOfMap(`brokkr-inv-${stack}-0`, agents.namespace));
    const second = await agents.start({ namespace: agents.namespace });
    second.tell([{ stackId: stack, objects, order: 1n, deploymentId: 'd1' }]);
    await second.settled();
    assert.equal(second.objectWrites(), []);
    const removed = second.next(stack, 'removed');
    second.tell([
      { stackId: stack, order: 2n, generation: 2n, deploymentId: 'd1', state: 'removing', kinds: ['v1/ConfigMap'] },
    ]);
    await removed;
    await until(async () => (await on.hand.get(idOfMap('lost-a'))) === undefined, 'the removal');
    assert.ok(await on.hand.get(idOfMap('lost-stranger')));
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
