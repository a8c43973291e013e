import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, idOfMap, type Lab, openReal, openSimulated, stackId } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { checksumAnnotation, type KubeObject, stackLabel, textAt } from '../object/kube-object.ts';

const simulated = suite('what is not to be touched, simulated cluster');
const real = suite('what is not to be touched, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const agents = agentsOn(test, lab);
  const { start } = agents;
  let stack = '';
  test.before.each(() => {
    stack = stackId(`safety ${agents.namespace}`);
  });
  const dataOf = async (name: string, key = 'k') => textAt(await hand.get(idOfMap(name)), 'data', key);

  test('refuses what exists and is not the stack’s, and names who wrote it', async () => {
    const core = await start();
    await hand.create(configMap('c-theirs', { k: 'theirs' }, 'default'));
    let told = core.next(stack, 'failed');
    const objects = [configMap('c-theirs', { k: 'ours' }), configMap('c-new', { k: '1' })];
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd1', conflict: 'refuse', objects }]);
    const { message } = await told;
    assert.match(message, /nothing was applied: ConfigMap default\/c-theirs: exists already, .*: written by \w+/);
    assert.is(await dataOf('c-theirs'), 'theirs');
    assert.is(await hand.get(idOfMap('c-new')), undefined);
    told = core.next(stack, 'applied');
    core.tell([{ stackId: stack, order: 2n, deploymentId: 'd1', conflict: 'adopt', objects }]);
    await told;
    assert.is(await dataOf('c-theirs'), 'ours');
  });

  test('refuses a field that somebody else has set, and goes on when it is given back', async () => {
    const core = await start();
    const applied = core.next(stack, 'applied');
    const wish = { stackId: stack, conflict: 'refuse', objects: [configMap('f-shared', { k: '1' })] } as const;
    core.tell([{ ...wish, order: 1n, deploymentId: 'd1' }]);
    await applied;
    await hand.edit(idOfMap('f-shared'), (live) => ({ ...live, data: { k: 'theirs' } }));
    const failed = core.next(stack, 'failed');
    core.tell([{ ...wish, order: 2n, deploymentId: 'd2', objects: [configMap('f-shared', { k: '2' })] }]);
    assert.match((await failed).message, /conflict with .*\.data\.k/);
    assert.is(await dataOf('f-shared'), 'theirs');
    const again = core.next(stack, 'applied');
    await hand.remove(idOfMap('f-shared'));
    await again;
    assert.is(await dataOf('f-shared'), '2');
  });

  test('takes over an object from another stack of the generator, also under refuse', async () => {
    const core = await start();
    const giver = stackId(`giver ${agents.namespace}`);
    let told = core.next(giver, 'applied');
    core.tell([{ stackId: giver, order: 1n, deploymentId: 'g1', objects: [configMap('h-moves', { k: '1' })] }]);
    await told;
    told = core.next(stack, 'applied');
    core.tell([
      { stackId: giver, order: 2n, deploymentId: 'g2', objects: [] },
      {
        stackId: stack,
        order: 3n,
        deploymentId: 'd1',
        conflict: 'refuse',
        objects: [configMap('h-moves', { k: '1' })],
      },
    ]);
    await told;
    assert.is((await hand.get(idOfMap('h-moves')))?.metadata.labels?.[stackLabel], stack);
  });

  test('releases, instead of deleting, what says that it is not to be pruned', async () => {
    const core = await start();
    let told = core.next(stack, 'applied');
    const objects = [kept('p-first'), kept('p-second'), configMap('p-gone', { k: '1' })];
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    await told;
    const uid = (await hand.get(idOfMap('p-first')))?.metadata.uid;
    told = core.next(stack, 'applied');
    core.tell([{ stackId: stack, order: 2n, deploymentId: 'd2', objects: objects.slice(1) }]);
    const pruned = await told;
    assert.match(pruned.message, /p-first was left where it is/);
    assert.equal(
      pruned.changes.map(({ object, action }) => `${action} ${object.name}`),
      ['configured p-first'],
    );
    const removed = core.next(stack, 'removed');
    core.tell([{ stackId: stack, order: 3n, generation: 3n, deploymentId: 'd2', state: 'removing' }]);
    assert.match((await removed).message, /p-second was left where it is/);
    assert.is(await hand.get(idOfMap('p-gone')), undefined);
    for (const name of ['p-first', 'p-second']) {
      const { metadata } = (await hand.get(idOfMap(name)))!;
      assert.is(metadata.labels?.[stackLabel], undefined);
      assert.is(metadata.annotations?.[checksumAnnotation], undefined);
    }
    assert.is((await hand.get(idOfMap('p-first')))?.metadata.uid, uid);
  });
}

function kept(name: string): KubeObject {
  const object = configMap(name, { k: '1' }, 'default');
  return { ...object, metadata: { ...object.metadata, annotations: { 'k8s.brokkr.io/prune': 'disabled' } } };
}
