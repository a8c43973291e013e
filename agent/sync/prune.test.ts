import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Core,
  configMap,
  idOfMap,
  type Lab,
  openReal,
  openSimulated,
  stackId,
  until,
} from '../../test/agent/test-agent.ts';
import { agentsOn, applied } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { waveAnnotation } from '../manifest/waves.ts';
import { type KubeObject, stackLabel, textAt } from '../object/kube-object.ts';

const simulated = suite('pruning, simulated cluster');
const real = suite('pruning, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const agents = agentsOn(test, lab);
  const { start } = agents;
  const a = stackId('a');
  const b = stackId('b');
  const inventoryOf = (stack: string) => idOfMap(`brokkr-inv-${stack}-0`, agents.namespace);
  const uidOf = async (name: string) => (await hand.get(idOfMap(name)))?.metadata.uid;
  const apply = (core: Core, order: bigint, objects: readonly KubeObject[]) =>
    applied(core, { stackId: a, order, objects });

  test('deletes what a new revision no longer lists', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('kept', { k: '1' }), configMap('dropped', { k: '1' })]);
    const { changes } = await apply(core, 2n, [configMap('kept', { k: '1' })]);
    assert.equal(
      changes.map(({ object, action }) => `${action} ${object.name}`),
      ['deleted dropped'],
    );
    assert.is(await hand.get(idOfMap('dropped')), undefined);
    assert.ok(await hand.get(idOfMap('kept')));
  });

  test('never deletes what an owner reference claims', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('claimed', { k: '1' }), configMap('claimant', { k: '1' })]);
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'claimant', uid: (await uidOf('claimant')) ?? '' };
    await hand.edit(idOfMap('claimed'), (live) => ({
      ...live,
      metadata: { ...live.metadata, ownerReferences: [owner] },
    }));
    await apply(core, 2n, [configMap('claimant', { k: '1' })]);
    assert.ok(await hand.get(idOfMap('claimed')));
  });

  test('never deletes what another stack has labelled', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('relabelled', { k: '1' })]);
    await hand.edit(idOfMap('relabelled'), (live) => ({
      ...live,
      metadata: { ...live.metadata, labels: { [stackLabel]: stackId('elsewhere') } },
    }));
    await apply(core, 2n, [configMap('other', { k: '1' })]);
    assert.ok(await hand.get(idOfMap('relabelled')));
  });

  test('never deletes what the inventory does not list, even with the label', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('listed', { k: '1' })]);
    const copy = configMap('copied-label', { k: '1' }, 'default');
    await hand.create({ ...copy, metadata: { ...copy.metadata, labels: { [stackLabel]: a } } });
    await apply(core, 2n, [configMap('listed', { k: '2' })]);
    assert.ok(await hand.get(idOfMap('copied-label')));
  });

  test('never deletes what a new revision lists in another group', async () => {
    // An Event is one object in two groups.
    if (lab.simulated) return;
    const core = await start();
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
    await apply(core, 1n, [first]);
    const id = { apiVersion: 'v1', kind: 'Event', ...metadata };
    const uid = (await hand.get(id))?.metadata.uid;
    assert.ok(uid);
    await apply(core, 2n, [second]);
    assert.is((await hand.get(id))?.metadata.uid, uid);
  });

  test('never deletes what somebody has made anew', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('renewed', { k: '1' }), configMap('rest', { k: '1' })]);
    await hand.remove(idOfMap('renewed'));
    await hand.create(configMap('renewed', { k: 'mine' }, 'default'));
    await apply(core, 2n, [configMap('rest', { k: '1' })]);
    assert.is(textAt(await hand.get(idOfMap('renewed')), 'data', 'k'), 'mine');
  });

  test('hands an object over that moved to another stack of the generator', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('moving', { k: '1' }), configMap('staying', { k: '1' })]);
    const uid = await uidOf('moving');
    const told = Promise.all([core.next(a), core.next(b)]);
    core.tell([
      { stackId: a, order: 2n, objects: [configMap('staying', { k: '1' })] },
      { stackId: b, order: 3n, objects: [configMap('moving', { k: '1' })] },
    ]);
    assert.equal(
      (await told).map(({ outcome }) => outcome),
      ['applied', 'applied'],
    );
    assert.is(await uidOf('moving'), uid);
    assert.is((await hand.get(idOfMap('moving')))?.metadata.labels?.[stackLabel], b);
    await until(
      async () => !textAt(await hand.get(inventoryOf(a)), 'data', 'items')?.includes('moving'),
      'the entry to go',
    );
    const removed = core.next(a, 'removed');
    core.tell([
      { stackId: a, order: 4n, generation: 4n, state: 'removing', kinds: ['v1/ConfigMap'] },
      { stackId: b, order: 3n, objects: [configMap('moving', { k: '1' })] },
    ]);
    await removed;
    assert.is(await uidOf('moving'), uid);
  });

  test('hands objects over from a stack that is removed to one that takes its place', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('inherited', { k: '1' }), configMap('ended', { k: '1' })]);
    const uid = await uidOf('inherited');
    const told = Promise.all([core.next(a, 'removed'), core.next(b, 'applied')]);
    core.tell([
      { stackId: a, order: 2n, generation: 2n, state: 'removing', kinds: ['v1/ConfigMap'] },
      { stackId: b, order: 3n, objects: [configMap('inherited', { k: '1' })] },
    ]);
    await told;
    assert.is(await uidOf('inherited'), uid);
    assert.is(await hand.get(idOfMap('ended')), undefined);
  });

  for (const isRemoval of [false, true]) {
    const how = isRemoval ? 'a removal' : 'a prune';
    test(`spares what another stack takes over between the plan of ${how} and its deletion`, async () => {
      if (!lab.simulated) return;
      const core = await start();
      const [kept, taken] = [`stays-${isRemoval}`, `taken-${isRemoval}`];
      await apply(core, 1n, [late(kept, '1'), configMap(taken, { k: '1' })]);
      const uid = await uidOf(taken);
      const next = isRemoval
        ? { stackId: a, order: 2n, generation: 2n, state: 'removing' as const, kinds: ['v1/ConfigMap'] }
        : { stackId: a, order: 2n, objects: [late(kept, '2')] };
      let isTold = false;
      // By then the plan is made: the other stack is told, and ends, before it goes on.
      const forget = lab.simulated.onRequest(async ({ method, path, query }) => {
        const isBegun = isRemoval ? method === 'DELETE' : method === 'PATCH' && !query.includes('dryRun');
        if (!isBegun || isTold || !path.includes(`/configmaps/${kept}`)) return;
        isTold = true;
        const done = core.next(b, 'applied');
        core.tell([next, { stackId: b, order: 3n, objects: [configMap(taken, { k: '1' })] }]);
        await done;
      });
      const ended = core.next(a, isRemoval ? 'removed' : 'applied');
      core.tell([next]);
      await ended;
      forget();
      assert.ok(isTold);
      assert.is(await uidOf(taken), uid);
      assert.is((await hand.get(idOfMap(taken)))?.metadata.labels?.[stackLabel], b);
    });
  }

  test('spares what a stack desires that is told while the objects are deleted', async () => {
    if (!lab.simulated) return;
    const core = await start();
    const objects = Array.from({ length: 20 }, (_, index) => configMap(`group-${index}`, { k: '1' }));
    await apply(core, 1n, objects);
    const uids = new Set(await Promise.all(objects.map(({ metadata }) => uidOf(metadata.name))));
    const removal = { stackId: a, order: 2n, generation: 2n, state: 'removing' as const, kinds: ['v1/ConfigMap'] };
    const ended = Promise.all([core.next(a, 'removed'), core.next(b, 'applied')]);
    let isTold = false;
    const forget = lab.simulated.onRequest(({ method, path }) => {
      if (isTold || method !== 'DELETE' || !path.includes('/configmaps/group-')) return;
      isTold = true;
      core.tell([removal, { stackId: b, order: 3n, objects }]);
    });
    core.tell([removal]);
    await ended;
    forget();
    const deleted = core.writes.filter((write) => write.startsWith('remove ConfigMap default/group-'));
    assert.ok(isTold);
    assert.ok(deleted.length <= passConcurrency, `${deleted.length} were deleted`);
    const kept = await Promise.all(objects.map(({ metadata }) => uidOf(metadata.name)));
    assert.is(kept.filter((uid) => uids.has(uid)).length, objects.length - deleted.length);
  });

  test('refuses an object that another stack has, and names that stack', async () => {
    const core = await start();
    const objects = [configMap('disputed', { k: 'first' })];
    const first = core.next(a, 'applied');
    const ours = { stackId: a, stack: 'first', generator: 'ci', order: 1n, objects };
    core.tell([ours]);
    await first;
    for (const generator of ['ci', 'rival']) {
      const refused = core.next(b, 'failed');
      const theirs = {
        stackId: b,
        stack: 'second',
        generator,
        order: generator === 'ci' ? 2n : 3n,
        objects: [configMap('disputed', { k: 'second' })],
      };
      core.tell([ours, theirs]);
      assert.match((await refused).message, 'belongs to stack ci/first');
      assert.is(textAt(await hand.get(idOfMap('disputed')), 'data', 'k'), 'first');
    }
    // Another generator's object is never handed over: it is let go by one, then made by the other.
    const uid = await uidOf('disputed');
    const taken = core.next(b, 'applied');
    core.tell([
      { ...ours, order: 4n, objects: [] },
      { stackId: b, stack: 'second', generator: 'rival', order: 3n, objects: [configMap('disputed', { k: 'second' })] },
    ]);
    await taken;
    assert.is.not(await uidOf('disputed'), uid);
  });

  test('deletes nothing in a pass that finds the inventory gone, and finds again what was its own', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('found', { k: '1' }), configMap('left-over', { k: '1' })]);
    const foreign = configMap('only-labelled', { k: '1' }, 'default');
    await hand.create({ ...foreign, metadata: { ...foreign.metadata, labels: { [stackLabel]: a } } });
    await core.close();
    await hand.remove(inventoryOf(a));
    const again = await start({ namespace: agents.namespace });
    await apply(again, 2n, [configMap('found', { k: '1' })]);
    assert.is(await hand.get(idOfMap('left-over')), undefined);
    assert.ok(await hand.get(idOfMap('only-labelled')), 'a label alone does not make it ours');
    assert.ok(again.writes[0]?.startsWith('create ConfigMap'), 'the inventory is written before anything else');
  });

  test('reads again and plans again when somebody writes the inventory at the same time', async () => {
    const core = await start();
    await apply(core, 1n, [configMap('raced', { k: '1' })]);
    const touch = () =>
      hand.edit(inventoryOf(a), (live) => ({
        ...live,
        metadata: { ...live.metadata, annotations: { at: String(Math.random()) } },
      }));
    for (let order = 2n; order < 6n; order++)
      await Promise.all([touch(), apply(core, order, [configMap('raced', { k: String(order) })])]);
    assert.is(textAt(await hand.get(idOfMap('raced')), 'data', 'k'), '5');
  });
}

/** Applied after others, and deleted before them. */
function late(name: string, value: string): KubeObject {
  const object = configMap(name, { k: value });
  return { ...object, metadata: { ...object.metadata, annotations: { [waveAnnotation]: '1' } } };
}
