import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { definitionOf, goneStack, idOfSet, setOf } from '../../test/agent/held-deletions.ts';
import { configMap, idOfMap, type Lab, openReal, openSimulated, type Wish } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, stackLabel } from '../object/kube-object.ts';
import type { StackEvent } from '../target/stack-event.ts';

const simulated = suite('confirming deletions, simulated cluster');
const real = suite('confirming deletions, real API server');
describe(simulated, await openSimulated());
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const { start } = agentsOn(test, lab);
  const { stack, removal, apply, tellRemoval } = goneStack;

  test('holds too many deletions until they are confirmed', async () => {
    const core = await start({ maxDeletions: 3 });
    await apply(
      core,
      Array.from({ length: 4 }, (_, index) => configMap(`lot-${index}`, {})),
    );
    const { outcome, changes, heldKeys } = await tellRemoval(core);
    assert.is(outcome, 'held');
    assert.is(changes.filter(({ action }) => action === 'held').length, 4);
    assert.equal(heldKeys, ['many']);
    assert.ok(await hand.get(idOfMap('lot-0')));
    assert.is((await tellRemoval(core, { confirmed: true, confirmedKeys: heldKeys })).outcome, 'removed');
  });

  test('holds a prune as it holds a removal', async () => {
    const core = await start({ maxDeletions: 1 });
    await apply(core, [configMap('pair-a', {}), configMap('pair-b', {}), configMap('pair-c', {})]);
    const next: Wish = { stackId: stack, order: 3n, deploymentId: 'e', objects: [configMap('pair-c', { k: 'new' })] };
    const held = core.next(stack);
    core.tell([next]);
    const { outcome, heldKeys } = await held;
    assert.is(outcome, 'held');
    assert.ok(await hand.get(idOfMap('pair-a')));
    assert.equal((await hand.get(idOfMap('pair-c')))?.data, { k: 'new' }, 'the rest goes on');
    const applied = core.next(stack);
    core.tell([{ ...next, confirmed: true, confirmedKeys: heldKeys }]);
    assert.is((await applied).outcome, 'applied');
    assert.is(await hand.get(idOfMap('pair-a')), undefined);
  });

  test('goes on only with what was confirmed, and holds everything when there is more by now', async () => {
    const core = await start();
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'filling-room' } };
    await apply(core, [setOf('shown', 'Delete', ['data']), room]);
    const kinds = ['apps/v1/StatefulSet', 'v1/Namespace'];
    const named = ({ changes }: StackEvent) => changes.map(({ object }) => object.name).sort();
    const first = await tellRemoval(core, { kinds });
    assert.equal([first.outcome, named(first), first.heldKeys.length], ['held', ['shown'], 1]);
    await hand.create(configMap('newcomer', {}, 'filling-room'));
    const second = core.next(stack, 'held');
    core.tell([{ ...removal, kinds, confirmed: true, confirmedKeys: first.heldKeys }]);
    const { heldKeys } = await second;
    assert.equal([named(await second), heldKeys.length], [['filling-room', 'shown'], 2]);
    assert.ok(first.heldKeys.every((key) => heldKeys.includes(key)));
    assert.ok(await hand.get(idOfSet('shown')));
    const removed = core.next(stack, 'removed');
    core.tell([{ ...removal, kinds, confirmed: true, confirmedKeys: heldKeys }]);
    await hand.remove(idOfMap('newcomer', 'filling-room'));
    await removed;
  });

  test('tells what a removal that the broker holds would delete, and deletes nothing', async () => {
    const core = await start();
    await apply(core, [configMap('unconfirmed', { k: '1' }), definitionOf('unconfirmed.example.org', 'Ghost', false)]);
    const kinds = ['v1/ConfigMap', 'apiextensions.k8s.io/v1/CustomResourceDefinition'];
    const { outcome, message, changes, heldKeys } = await tellRemoval(core, { kinds, held: true });
    assert.is(outcome, 'held');
    assert.match(message, /waits for a confirmation: 2 objects would be deleted: .*it cannot be seen/);
    assert.equal(
      changes.map(({ action, object }) => `${action} ${object.name}`),
      ['held ghosts.unconfirmed.example.org', 'held unconfirmed'],
    );
    assert.is(changes[1]?.message, 'would be deleted');
    assert.ok(await hand.get(idOfMap('unconfirmed')));
    const orphaned = await tellRemoval(core, { kinds, held: true, onDelete: 'orphan' });
    assert.is(orphaned.outcome, 'held');
    assert.match(orphaned.message, '2 objects would be left where they are');
    assert.ok((await hand.get(idOfMap('unconfirmed')))?.metadata.labels?.[stackLabel]);
    assert.is((await tellRemoval(core, { kinds, confirmed: true, confirmedKeys: heldKeys })).outcome, 'removed');
    assert.is(await hand.get(idOfMap('unconfirmed')), undefined);
  });
}
