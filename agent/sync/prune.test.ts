import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { configMap, configMapId, stackId, type TestAgent, until } from '../../test/agent/test-agent.ts';
import { applyStack } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { waveAnnotation } from '../manifest/waves.ts';
import { type KubeObject, stackLabel, textAt } from '../object/kube-object.ts';

const simulated = suite('pruning, simulated cluster');
const real = suite('pruning, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const a = stackId('a');
  const b = stackId('b');
  const inventoryOf = (stack: string) => configMapId(`brokkr-inv-${stack}-0`, agents.namespace);
  const uidOf = async (name: string) => (await admin.get(configMapId(name)))?.metadata.uid;
  const apply = (testAgent: TestAgent, order: bigint, objects: readonly KubeObject[]) =>
    applyStack(testAgent, { stackId: a, order, objects });

  test('deletes what a new revision no longer lists', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('kept', { k: '1' }), configMap('dropped', { k: '1' })]);
    const { changes } = await apply(testAgent, 2n, [configMap('kept', { k: '1' })]);
    assert.equal(
      changes.map(({ object, action }) => `${action} ${object.name}`),
      ['deleted dropped'],
    );
    assert.is(await admin.get(configMapId('dropped')), undefined);
    assert.ok(await admin.get(configMapId('kept')));
  });

  test('never deletes what an owner reference claims', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('claimed', { k: '1' }), configMap('claimant', { k: '1' })]);
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'claimant', uid: (await uidOf('claimant')) ?? '' };
    await admin.edit(configMapId('claimed'), (live) => ({
      ...live,
      metadata: { ...live.metadata, ownerReferences: [owner] },
    }));
    await apply(testAgent, 2n, [configMap('claimant', { k: '1' })]);
    assert.ok(await admin.get(configMapId('claimed')));
  });

  test('never deletes what another stack has labelled', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('relabelled', { k: '1' })]);
    await admin.edit(configMapId('relabelled'), (live) => ({
      ...live,
      metadata: { ...live.metadata, labels: { [stackLabel]: stackId('elsewhere') } },
    }));
    await apply(testAgent, 2n, [configMap('other', { k: '1' })]);
    assert.ok(await admin.get(configMapId('relabelled')));
  });

  test('never deletes what the inventory does not list, even with the label', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('listed', { k: '1' })]);
    const copy = configMap('copied-label', { k: '1' }, 'default');
    await admin.create({ ...copy, metadata: { ...copy.metadata, labels: { [stackLabel]: a } } });
    await apply(testAgent, 2n, [configMap('listed', { k: '2' })]);
    assert.ok(await admin.get(configMapId('copied-label')));
  });

  test('never deletes what a new revision lists in another group', async () => {
    // An Event is one object in two groups.
    if (testCluster.simulated) return;
    const testAgent = await start();
    const metadata = { name: 'two-names', namespace: 'default' };
    const common = {
      metadata,
      reason: 'Told',
      type: 'Normal',
      action: 'Tell',
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingInstance: 'a',
    };
    const about = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'any' };
    const first = { ...common, apiVersion: 'v1', kind: 'Event', involvedObject: about, reportingComponent: 'a.org/b' };
    const second = {
      ...common,
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      regarding: about,
      reportingController: 'a.org/b',
    };
    await apply(testAgent, 1n, [first]);
    const id = { apiVersion: 'v1', kind: 'Event', ...metadata };
    const uid = (await admin.get(id))?.metadata.uid;
    assert.ok(uid);
    await apply(testAgent, 2n, [second]);
    assert.is((await admin.get(id))?.metadata.uid, uid);
  });

  test('never deletes what somebody has recreated', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('renewed', { k: '1' }), configMap('rest', { k: '1' })]);
    await admin.remove(configMapId('renewed'));
    await admin.create(configMap('renewed', { k: 'mine' }, 'default'));
    await apply(testAgent, 2n, [configMap('rest', { k: '1' })]);
    assert.is(textAt(await admin.get(configMapId('renewed')), 'data', 'k'), 'mine');
  });

  test('hands an object over that moved to another stack of the generator', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('moving', { k: '1' }), configMap('staying', { k: '1' })]);
    const uid = await uidOf('moving');
    const reported = Promise.all([testAgent.nextEvent(a), testAgent.nextEvent(b)]);
    testAgent.setTarget([
      { stackId: a, order: 2n, objects: [configMap('staying', { k: '1' })] },
      { stackId: b, order: 3n, objects: [configMap('moving', { k: '1' })] },
    ]);
    assert.equal(
      (await reported).map(({ outcome }) => outcome),
      ['applied', 'applied'],
    );
    assert.is(await uidOf('moving'), uid);
    assert.is((await admin.get(configMapId('moving')))?.metadata.labels?.[stackLabel], b);
    await until(
      async () => !textAt(await admin.get(inventoryOf(a)), 'data', 'items')?.includes('moving'),
      'the entry to go',
    );
    const removed = testAgent.nextEvent(a, 'removed');
    testAgent.setTarget([
      { stackId: a, order: 4n, generation: 4n, state: 'removing', kinds: ['v1/ConfigMap'] },
      { stackId: b, order: 3n, objects: [configMap('moving', { k: '1' })] },
    ]);
    await removed;
    assert.is(await uidOf('moving'), uid);
  });

  test('hands objects over from a stack that is removed to one that takes its place', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('inherited', { k: '1' }), configMap('ended', { k: '1' })]);
    const uid = await uidOf('inherited');
    const reported = Promise.all([testAgent.nextEvent(a, 'removed'), testAgent.nextEvent(b, 'applied')]);
    testAgent.setTarget([
      { stackId: a, order: 2n, generation: 2n, state: 'removing', kinds: ['v1/ConfigMap'] },
      { stackId: b, order: 3n, objects: [configMap('inherited', { k: '1' })] },
    ]);
    await reported;
    assert.is(await uidOf('inherited'), uid);
    assert.is(await admin.get(configMapId('ended')), undefined);
  });

  for (const isRemoval of [false, true]) {
    const how = isRemoval ? 'a removal' : 'a prune';
    test(`does not delete what another stack takes over between the plan of ${how} and its deletion`, async () => {
      if (!testCluster.simulated) return;
      const testAgent = await start();
      const [kept, taken] = [`stays-${isRemoval}`, `taken-${isRemoval}`];
      await apply(testAgent, 1n, [late(kept, '1'), configMap(taken, { k: '1' })]);
      const uid = await uidOf(taken);
      const next = isRemoval
        ? { stackId: a, order: 2n, generation: 2n, state: 'removing' as const, kinds: ['v1/ConfigMap'] }
        : { stackId: a, order: 2n, objects: [late(kept, '2')] };
      let isSent = false;
      // By then the plan is made: the other stack is received, and ends, before it continues.
      const forget = testCluster.simulated.onRequest(async ({ method, path, query }) => {
        const isBegun = isRemoval ? method === 'DELETE' : method === 'PATCH' && !query.includes('dryRun');
        if (!isBegun || isSent || !path.includes(`/configmaps/${kept}`)) return;
        isSent = true;
        const done = testAgent.nextEvent(b, 'applied');
        testAgent.setTarget([next, { stackId: b, order: 3n, objects: [configMap(taken, { k: '1' })] }]);
        await done;
      });
      const ended = testAgent.nextEvent(a, isRemoval ? 'removed' : 'applied');
      testAgent.setTarget([next]);
      await ended;
      forget();
      assert.ok(isSent);
      assert.is(await uidOf(taken), uid);
      assert.is((await admin.get(configMapId(taken)))?.metadata.labels?.[stackLabel], b);
    });
  }

  test('does not delete what another stack desires that arrives during the deletion', async () => {
    if (!testCluster.simulated) return;
    const testAgent = await start();
    const objects = Array.from({ length: 20 }, (_, index) => configMap(`group-${index}`, { k: '1' }));
    await apply(testAgent, 1n, objects);
    const uids = new Set(await Promise.all(objects.map(({ metadata }) => uidOf(metadata.name))));
    const removal = { stackId: a, order: 2n, generation: 2n, state: 'removing' as const, kinds: ['v1/ConfigMap'] };
    const ended = Promise.all([testAgent.nextEvent(a, 'removed'), testAgent.nextEvent(b, 'applied')]);
    let isSent = false;
    const forget = testCluster.simulated.onRequest(({ method, path }) => {
      if (isSent || method !== 'DELETE' || !path.includes('/configmaps/group-')) return;
      isSent = true;
      testAgent.setTarget([removal, { stackId: b, order: 3n, objects }]);
    });
    testAgent.setTarget([removal]);
    await ended;
    forget();
    const deleted = testAgent.writes.filter((write) => write.startsWith('remove ConfigMap default/group-'));
    assert.ok(isSent);
    assert.ok(deleted.length <= passConcurrency, `${deleted.length} were deleted`);
    const kept = await Promise.all(objects.map(({ metadata }) => uidOf(metadata.name)));
    assert.is(kept.filter((uid) => uids.has(uid)).length, objects.length - deleted.length);
  });

  test('refuses an object that another stack has, and names that stack within its generator', async () => {
    const testAgent = await start();
    const objects = [configMap('disputed', { k: 'first' })];
    const first = testAgent.nextEvent(a, 'applied');
    const ours = { stackId: a, stack: 'first', generator: 'ci', order: 1n, objects };
    testAgent.setTarget([ours]);
    await first;
    for (const generator of ['ci', 'rival']) {
      const refused = testAgent.nextEvent(b, 'failed');
      const theirs = {
        stackId: b,
        stack: 'second',
        generator,
        order: generator === 'ci' ? 2n : 3n,
        objects: [configMap('disputed', { k: 'second' })],
      };
      testAgent.setTarget([ours, theirs]);
      // A tenant is not told what another one has.
      const owner = generator === 'ci' ? 'stack ci/first' : 'a stack of another generator';
      const { message } = await refused;
      assert.match(message, `belongs to ${owner}`);
      assert.is(message.includes('first'), generator === 'ci');
      assert.is(textAt(await admin.get(configMapId('disputed')), 'data', 'k'), 'first');
    }
    // Another generator's object is never handed over: it is let go by one, then made by the other.
    const uid = await uidOf('disputed');
    const taken = testAgent.nextEvent(b, 'applied');
    testAgent.setTarget([
      { ...ours, order: 4n, objects: [] },
      { stackId: b, stack: 'second', generator: 'rival', order: 3n, objects: [configMap('disputed', { k: 'second' })] },
    ]);
    await taken;
    assert.is.not(await uidOf('disputed'), uid);
  });

  test('deletes nothing in a pass that finds the inventory gone, and restores it', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('found', { k: '1' }), configMap('left-over', { k: '1' })]);
    const foreign = configMap('only-labelled', { k: '1' }, 'default');
    await admin.create({ ...foreign, metadata: { ...foreign.metadata, labels: { [stackLabel]: a } } });
    await testAgent.close();
    await admin.remove(inventoryOf(a));
    const again = await start({ namespace: agents.namespace });
    await apply(again, 2n, [configMap('found', { k: '1' })]);
    assert.is(await admin.get(configMapId('left-over')), undefined);
    assert.ok(await admin.get(configMapId('only-labelled')), 'a label alone does not make it ours');
    assert.ok(again.writes[0]?.startsWith('create ConfigMap'), 'the inventory is written before anything else');
  });

  test('reads again and plans again when somebody writes the inventory at the same time', async () => {
    const testAgent = await start();
    await apply(testAgent, 1n, [configMap('raced', { k: '1' })]);
    const touch = () =>
      admin.edit(inventoryOf(a), (live) => ({
        ...live,
        metadata: { ...live.metadata, annotations: { at: String(Math.random()) } },
      }));
    for (let order = 2n; order < 6n; order++)
      await Promise.all([touch(), apply(testAgent, order, [configMap('raced', { k: String(order) })])]);
    assert.is(textAt(await admin.get(configMapId('raced')), 'data', 'k'), '5');
  });
}

/** Applied after others, and deleted before them. */
function late(name: string, value: string): KubeObject {
  const object = configMap(name, { k: value });
  return { ...object, metadata: { ...object.metadata, annotations: { [waveAnnotation]: '1' } } };
}
