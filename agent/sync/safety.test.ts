import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { configMap, configMapId, stackId } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { checksumAnnotation, type KubeObject, stackLabel, textAt } from '../object/kube-object.ts';

const simulated = suite('what is not to be touched, simulated cluster');
const real = suite('what is not to be touched, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { admin, agents, start }: ClusterContext): void {
  let stack = '';
  test.before.each(() => {
    stack = stackId(`safety ${agents.namespace}`);
  });
  const dataOf = async (name: string, key = 'k') => textAt(await admin.get(configMapId(name)), 'data', key);

  test('refuses what exists and is not the stack’s, and names who wrote it', async () => {
    const testAgent = await start();
    await admin.create(configMap('c-theirs', { k: 'theirs' }, 'default'));
    let reported = testAgent.nextEvent(stack, 'failed');
    const objects = [configMap('c-theirs', { k: 'ours' }), configMap('c-new', { k: '1' })];
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', conflict: 'refuse', objects }]);
    const { message } = await reported;
    assert.match(message, /nothing was applied: ConfigMap default\/c-theirs: exists already, .*: written by \w+/);
    assert.is(await dataOf('c-theirs'), 'theirs');
    assert.is(await admin.get(configMapId('c-new')), undefined);
    reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'd1', conflict: 'adopt', objects }]);
    await reported;
    assert.is(await dataOf('c-theirs'), 'ours');
  });

  test('refuses a field that somebody else has set, and goes on when it is given back', async () => {
    const testAgent = await start();
    const applied = testAgent.nextEvent(stack, 'applied');
    const target = { stackId: stack, conflict: 'refuse', objects: [configMap('f-shared', { k: '1' })] } as const;
    testAgent.setTarget([{ ...target, order: 1n, deploymentId: 'd1' }]);
    await applied;
    await admin.edit(configMapId('f-shared'), (live) => ({ ...live, data: { k: 'theirs' } }));
    const failed = testAgent.nextEvent(stack, 'failed');
    testAgent.setTarget([{ ...target, order: 2n, deploymentId: 'd2', objects: [configMap('f-shared', { k: '2' })] }]);
    assert.match((await failed).message, /conflict with .*\.data\.k/);
    assert.is(await dataOf('f-shared'), 'theirs');
    const again = testAgent.nextEvent(stack, 'applied');
    await admin.remove(configMapId('f-shared'));
    await again;
    assert.is(await dataOf('f-shared'), '2');
  });

  test('takes over an object from another stack of the generator, also under refuse', async () => {
    const testAgent = await start();
    const giver = stackId(`giver ${agents.namespace}`);
    let reported = testAgent.nextEvent(giver, 'applied');
    testAgent.setTarget([
      { stackId: giver, order: 1n, deploymentId: 'g1', objects: [configMap('h-moves', { k: '1' })] },
    ]);
    await reported;
    reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: giver, order: 2n, deploymentId: 'g2', objects: [] },
      {
        stackId: stack,
        order: 3n,
        deploymentId: 'd1',
        conflict: 'refuse',
        objects: [configMap('h-moves', { k: '1' })],
      },
    ]);
    await reported;
    assert.is((await admin.get(configMapId('h-moves')))?.metadata.labels?.[stackLabel], stack);
  });

  test('releases, instead of deleting, what says that it is not to be pruned', async () => {
    const testAgent = await start();
    let reported = testAgent.nextEvent(stack, 'applied');
    const objects = [kept('p-first'), kept('p-second'), configMap('p-gone', { k: '1' })];
    testAgent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'd1', objects }]);
    await reported;
    const uid = (await admin.get(configMapId('p-first')))?.metadata.uid;
    reported = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'd2', objects: objects.slice(1) }]);
    const pruned = await reported;
    assert.match(pruned.message, /p-first was left where it is/);
    assert.equal(
      pruned.changes.map(({ object, action }) => `${action} ${object.name}`),
      ['configured p-first'],
    );
    const removed = testAgent.nextEvent(stack, 'removed');
    testAgent.setTarget([{ stackId: stack, order: 3n, generation: 3n, deploymentId: 'd2', state: 'removing' }]);
    assert.match((await removed).message, /p-second was left where it is/);
    assert.is(await admin.get(configMapId('p-gone')), undefined);
    for (const name of ['p-first', 'p-second']) {
      const { metadata } = (await admin.get(configMapId(name)))!;
      assert.is(metadata.labels?.[stackLabel], undefined);
      assert.is(metadata.annotations?.[checksumAnnotation], undefined);
    }
    assert.is((await admin.get(configMapId('p-first')))?.metadata.uid, uid);
  });
}

function kept(name: string): KubeObject {
  const object = configMap(name, { k: '1' }, 'default');
  return { ...object, metadata: { ...object.metadata, annotations: { 'k8s.brokkr.io/prune': 'disabled' } } };
}
