import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { idOfMap, type Lab, openReal, openSimulated, stackId, until } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { map, marked, workload } from '../../test/agent/wave-objects.ts';
import { needs } from '../../test/runner/needs.ts';
import { idOf, type KubeObject } from '../object/kube-object.ts';

const simulated = suite('rollout in waves, simulated cluster');
const real = suite('rollout in waves, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const agents = agentsOn(test, lab);
  const { start } = agents;
  let stack = '';
  let other = '';
  // What a test leaves behind belongs to no stack of the next.
  test.before.each(() => {
    stack = stackId(`waves ${agents.namespace}`);
    other = stackId(`other ${agents.namespace}`);
  });
  const has = async (name: string) => (await hand.get(idOfMap(name))) !== undefined;
  /** A machine that somebody else made, and that is not ready. */
  const prepare = async (name: string) => {
    if (!(await hand.get(idOf(definition)))) await hand.create(definition);
    const made = async () => {
      try {
        return await hand.create({ ...machine(name), status: readiness('False') });
      } catch {
        return undefined;
      }
    };
    await until(async () => (await made()) !== undefined, 'the kind to be served');
  };
  const makeReady = (name: string) =>
    hand.edit(idOf(machine(name)), (live) => ({ ...live, status: readiness('True') }));

  test('starts a wave when the one before is healthy, and prunes after the last', async () => {
    const core = await start();
    let told = core.next(stack);
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd1', objects: [map('w-old')] }]);
    await told;
    await prepare('w-data');
    const objects = [machine('w-data'), marked(map('w-first'), {}), marked(map('w-second'), { wave: '1' })];
    told = core.next(stack, 'waiting');
    core.tell([{ stackId: stack, order: 2n, deploymentId: 'd2', objects }]);
    const waiting = await told;
    assert.match(waiting.message, /wave 1 waits for wave 0: Machine default\/w-data is progressing/);
    assert.equal(waiting.changes.map(({ object }) => object.name).sort(), ['w-data', 'w-first']);
    assert.not(await has('w-second'));
    assert.ok(await has('w-old'), 'nothing is pruned before the last wave');
    const applied = core.next(stack, 'applied');
    await makeReady('w-data');
    assert.equal(
      (await applied).changes.map(({ object, action }) => `${action} ${object.name}`),
      ['created w-second', 'deleted w-old'],
    );

    core.writes.length = 0;
    const changed = core.next(stack);
    core.tell([
      {
        stackId: stack,
        order: 3n,
        deploymentId: 'd3',
        objects: objects.with(2, marked(map('w-second', '2'), { wave: '1' })),
      },
    ]);
    await changed;
    assert.equal(core.objectWrites(), ['apply ConfigMap default/w-second'], 'one change is one write');
  });

  test('stops at a wave of which something has failed, and tells', async () => {
    const core = await start();
    await prepare('f-other');
    const failed = core.next(stack, 'failed');
    const objects = [stalled('f-stuck'), marked(map('f-after'), { wave: '1' })];
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    const { message, changes } = await failed;
    assert.match(message, /wave 1 waits for wave 0, of which some objects have failed: .*f-stuck: .*out of luck/);
    assert.ok(changes.some(({ object, action }) => object.name === 'f-stuck' && action === 'failed'));
    assert.not(await has('f-after'));
  });

  test('refuses what cannot be put into an order, before anything is changed', async () => {
    const core = await start();
    core.writes.length = 0;
    const failed = core.next(stack, 'failed');
    core.tell([
      {
        stackId: stack,
        objects: [
          map('o-fine'),
          marked(map('o-left'), { after: 'ConfigMap/o-right' }),
          marked(map('o-right'), { after: 'ConfigMap/o-left' }),
        ],
      },
    ]);
    assert.match((await failed).message, /nothing was applied: .*each is to be applied after the next/);
    assert.equal(core.objectWrites(), []);
  });

  test('removes in the reverse order', async () => {
    const core = await start();
    const objects = [
      map('r-0'),
      marked(map('r-1'), { after: 'ConfigMap/r-0' }),
      marked(map('r-2'), { wave: '1' }),
      marked(workload('r-3'), { wave: '2' }),
    ];
    let told = core.next(stack, 'applied');
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    await told;
    core.writes.length = 0;
    told = core.next(stack, 'removed');
    core.tell([{ stackId: stack, order: 2n, deploymentId: 'd2', generation: 2n, state: 'removing' }]);
    await told;
    assert.equal(
      core.objectWrites().map((write) => write.split('/')[1]),
      ['r-3', 'r-2', 'r-1', 'r-0'],
    );
  });

  test('waits for a stack that it depends on, and goes on when that is healthy', async () => {
    const core = await start();
    await prepare('d-data');
    const dependency = { stackId: stack, stack: 'base', order: 1n, deploymentId: 'd1', objects: [machine('d-data')] };
    const dependent = { stackId: other, order: 2n, deploymentId: 'd2', dependsOnIds: [stack], objects: [map('d-app')] };
    const unserved = core.next(other, 'waiting');
    core.tell([dependent]);
    assert.is(
      (await unserved).message,
      `waits for stack ${stack}, which this agent does not serve, or of which nothing was submitted yet`,
    );
    const free = stackId('free');
    const [waiting, applied] = [core.next(other, 'waiting'), core.next(free, 'applied')];
    core.tell([dependency, dependent, { stackId: free, objects: [map('d-free')] }]);
    await applied;
    await until(
      () => core.events.some(({ message }) => /waits for stack ci\/base, which is progressing: .*d-data/.test(message)),
      'the health of what it waits for',
    );
    assert.match((await waiting).message, 'waits for stack ci/base, which is');
    assert.not(await has('d-app'));
    const done = core.next(other, 'applied');
    await makeReady('d-data');
    await done;
  });

  test('keeps an applied stack applied, and repairs it, while what it depends on is not healthy', async () => {
    const core = await start();
    await prepare('k-data');
    const dependency = { stackId: stack, stack: 'base', order: 1n, deploymentId: 'd1', objects: [map('k-base')] };
    const dependent = { stackId: other, order: 2n, deploymentId: 'd2', dependsOnIds: [stack], objects: [map('k-app')] };
    const applied = core.next(other, 'applied');
    core.tell([dependency, dependent]);
    await applied;
    core.tell([
      { ...dependency, order: 3n, deploymentId: 'd3', objects: [map('k-base'), machine('k-data')] },
      dependent,
    ]);
    await core.settled();
    await core.close();
    const again = await start({ namespace: agents.namespace, resyncMs: 50 });
    again.tell([
      { ...dependency, order: 3n, deploymentId: 'd3', objects: [map('k-base'), machine('k-data')] },
      dependent,
    ]);
    await again.settled();
    assert.equal(
      again.events.filter(({ stackId: id }) => id === other).map(({ outcome }) => outcome),
      ['applied'],
    );
    await hand.remove(idOfMap('k-app'));
    await until(() => has('k-app'), 'the repair');
    const held = again.next(other, 'waiting');
    again.tell([
      { ...dependency, order: 3n, deploymentId: 'd3', objects: [map('k-base'), machine('k-data')] },
      { ...dependent, order: 4n, deploymentId: 'd4', objects: [map('k-app', '2')] },
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
