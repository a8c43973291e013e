import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { goneStack } from '../../test/agent/held-deletions.ts';
import {
  configMap,
  idOfMap,
  type Lab,
  openReal,
  openSimulated,
  until,
  type Wish,
} from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { checksumAnnotation, stackLabel } from '../object/kube-object.ts';

const simulated = suite('removing a stack, simulated cluster');
const real = suite('removing a stack, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const agents = agentsOn(test, lab);
  const { start } = agents;
  const inventory = () => hand.list({ apiVersion: 'v1', kind: 'ConfigMap' }, agents.namespace);
  const has = async (prefix: string) => (await inventory()).some(({ metadata }) => metadata.name.startsWith(prefix));
  const { stack, apply, tellRemoval } = goneStack;

  test('deletes what the inventory lists, acknowledges, and forgets it once the broker has', async () => {
    const core = await start();
    await hand.create(configMap('stranger', { k: '1' }, 'default'));
    await apply(core, [configMap('going-a', { k: '1' }), configMap('going-b', { k: '1' })]);
    const { outcome, generation } = await tellRemoval(core);
    assert.is(outcome, 'removed');
    assert.is(generation, 2n);
    assert.is(await hand.get(idOfMap('going-a')), undefined);
    assert.ok(await hand.get(idOfMap('stranger')));
    assert.ok(await has('brokkr-inv-'), 'a note stays until the broker knows');
    core.tell([]);
    await until(async () => !(await has('brokkr-inv-')), 'the inventory to go');
  });

  test('forgets it too when another process had acknowledged it', async () => {
    const core = await start();
    await apply(core, [configMap('going-a', { k: '1' })]);
    await tellRemoval(core);
    await core.close();
    const next = await start({ namespace: agents.namespace });
    assert.ok(await has('brokkr-inv-'), 'the note is there');
    next.tell([]);
    await until(async () => !(await has('brokkr-inv-')), 'the inventory to go');
  });

  test('is not fooled by an older answer after a removal', async () => {
    const core = await start();
    await apply(core, [configMap('once', { k: '1' })]);
    await tellRemoval(core);
    const events = core.events.length;
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd', objects: [configMap('once', { k: '1' })] }]);
    core.tell([]);
    await until(async () => !(await has('brokkr-inv-')), 'the inventory to go');
    core.tell([{ stackId: stack, order: 1n, deploymentId: 'd', objects: [configMap('once', { k: '1' })] }]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.is(await hand.get(idOfMap('once')), undefined);
    assert.is(core.events.length, events);
  });

  test('deletes nothing that is merely absent', async () => {
    const core = await start();
    await apply(core, [configMap('absent', { k: '1' })]);
    core.tell([]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(await hand.get(idOfMap('absent')));
    assert.ok(await has('brokkr-inv-'));
  });

  test('removes after a restart what it had applied before, and only that', async () => {
    const core = await start();
    await apply(core, [configMap('before', { k: '1' })]);
    await core.close();
    const again = await start({ namespace: agents.namespace });
    assert.is((await tellRemoval(again)).outcome, 'removed');
    assert.is(await hand.get(idOfMap('before')), undefined);
  });

  test('removes by the kinds it is told when its inventory is lost', async () => {
    const core = await start();
    await apply(core, [configMap('lost', { k: '1' })]);
    await core.close();
    await hand.remove(idOfMap(`brokkr-inv-${stack}-0`, agents.namespace));
    const again = await start({ namespace: agents.namespace });
    assert.is((await tellRemoval(again)).outcome, 'removed');
    assert.is(await hand.get(idOfMap('lost')), undefined);
  });

  test('leaves the objects of an orphaned stack, without its marks', async () => {
    const core = await start();
    await apply(core, [configMap('orphan', { k: '1' })]);
    assert.is((await tellRemoval(core, { onDelete: 'orphan' })).outcome, 'removed');
    const live = await hand.get(idOfMap('orphan'));
    assert.equal(live?.data, { k: '1' });
    assert.is(live?.metadata.labels?.[stackLabel], undefined);
    assert.is(live?.metadata.annotations?.[checksumAnnotation], undefined);
  });

  test('waits for what a finalizer holds', async () => {
    const core = await start();
    const held = configMap('finalized', { k: '1' });
    await apply(core, [{ ...held, metadata: { ...held.metadata, finalizers: ['example.org/wait'] } }]);
    const { outcome, message } = await tellRemoval(core);
    assert.is(outcome, 'removal_failed');
    assert.match(message, 'waiting until ConfigMap default/finalized is gone');
    const removed = core.next(stack, 'removed');
    await hand.edit(idOfMap('finalized'), (live) => ({ ...live, metadata: { ...live.metadata, finalizers: [] } }));
    await removed;
  });

  test('goes on after its inventory’s whole namespace was deleted', async () => {
    const core = await start();
    await apply(core, [configMap('homeless', { k: '1' })]);
    await hand.remove({ apiVersion: 'v1', kind: 'Namespace', namespace: '', name: agents.namespace });
    await until(
      async () => !(await hand.get({ apiVersion: 'v1', kind: 'Namespace', namespace: '', name: agents.namespace })),
      'the namespace to go',
    );
    const told = core.next(stack, 'applied');
    core.tell([{ stackId: stack, order: 2n, deploymentId: 'e', objects: [configMap('homeless', { k: '2' })] }]);
    await told;
    assert.ok(await has('brokkr-inv-'));
  });

  test('keeps what it has when a restored broker knows less, until it is told something newer', async () => {
    const core = await start();
    const told = core.next(stack);
    core.tell([{ stackId: stack, order: 9n, deploymentId: 'new', objects: [configMap('ahead', { k: 'new' })] }]);
    await told;
    const ahead = core.next(stack);
    const old: Wish = { stackId: stack, order: 5n, deploymentId: 'old', objects: [configMap('ahead', { k: 'old' })] };
    core.tell([old], { epoch: 2n });
    assert.is((await ahead).outcome, 'ahead');
    assert.equal((await hand.get(idOfMap('ahead')))?.data, { k: 'new' });
    const moved = core.next(stack, 'applied');
    core.tell([{ ...old, order: 11n }], { epoch: 2n });
    await moved;
    assert.equal((await hand.get(idOfMap('ahead')))?.data, { k: 'old' });
  });
}
