import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
let stacks = 0;
const makeStack = async () => {
  const name = `s${++stacks}`;
  await broker.createStack({ name, labels: [name] });
  await broker.submitDeployment({ stack: name, manifest: configMap(name) });
  return name;
};

const confirmations = suite('confirmations of held deletions');
confirmations.after(() => test.close());

confirmations('are for what was held at this order, and void when that changes', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'holds', labels: [stack] });
  const entry = await agent.entry(stack);
  await agent.report(entry, Outcome.HELD, 'would delete 60 objects');
  const phase = async () => (await broker.listPlacements({ stack })).placements[0]?.phase;
  assert.is(await phase(), PlacementPhase.HELD);
  await admin.confirmRemoval({ agent: 'holds', stack, generation: entry.generation });
  const confirmed = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.confirmed && now;
  });
  assert.equal([confirmed.generation, confirmed.order], [entry.generation, entry.order]);
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'other') });
  await eventually(async () => !(await agent.entry(stack)).confirmed);
  // The same for a removal.
  await admin.updateAgent({ agent: 'holds', removeLabels: [stack] });
  const removal = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.state === PlacementState.REMOVING && now;
  });
  assert.equal([removal.confirmed, removal.held], [false, false]);
  await agent.report(removal, Outcome.HELD, 'has a PersistentVolumeClaim');
  assert.is(await phase(), PlacementPhase.HELD);
  const { placement } = await admin.confirmRemoval({ agent: 'holds', stack, generation: removal.generation });
  assert.is(placement?.phase, PlacementPhase.REMOVING);
  await eventually(async () => (await agent.entry(stack)).confirmed);
});

confirmations('are for the objects that were shown as held, and for no others', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'grows', labels: [stack] });
  await agent.reconcile();
  await admin.updateAgent({ agent: 'grows', removeLabels: [stack] });
  const removal = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.state === PlacementState.REMOVING && now;
  });
  const [one, two] = ['0123456789abcdef', 'fedcba9876543210'];
  const { generation, order } = removal;
  const shown = async () => (await broker.listPlacements({ stack })).placements[0];
  await agent.report(removal, Outcome.HELD, 'has a claim', { heldKeys: [one] });
  assert.equal((await shown())?.heldKeys, [one]);
  await agent.report(removal, Outcome.HELD, 'has two claims', { heldKeys: [one, two] });
  const late = await admin.confirmRemoval({ agent: 'grows', stack, generation, heldKeys: [one], order });
  assert.equal([late.placement?.phase, late.placement?.heldKeys], [PlacementPhase.HELD, [one, two]]);
  const confirmedNow = async () => {
    const { confirmed, confirmedKeys } = await agent.entry(stack);
    return confirmed && confirmedKeys;
  };
  assert.equal(await eventually(confirmedNow), [one]);
  const all = await admin.confirmRemoval({ agent: 'grows', stack, generation });
  assert.is(all.placement?.phase, PlacementPhase.REMOVING);
  await eventually(async () => (await confirmedNow()).toString() === `${one},${two}`);
  await agent.report(removal, Outcome.HELD, 'everything', { heldKeys: ['many'] });
  assert.is((await shown())?.phase, PlacementPhase.HELD);
  const heldKeys = ['many'];
  const many = await admin.confirmRemoval({ agent: 'grows', stack, generation, heldKeys, order });
  assert.is(many.placement?.phase, PlacementPhase.REMOVING);
  await agent.report(removal, Outcome.HELD, 'of the many', { heldKeys: [two] });
  assert.is((await shown())?.phase, PlacementPhase.REMOVING);
  await refused(
    admin.confirmRemoval({ agent: 'grows', stack, generation, heldKeys: ['all'], order }),
    Code.InvalidArgument,
    'held_keys',
  );
});

confirmations('are not for what was submitted after they were shown', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'overtaken', labels: [stack] });
  const entry = await agent.entry(stack);
  await agent.report(entry, Outcome.HELD, 'would delete 60 objects', { heldKeys: ['many'] });
  const [shown] = (await broker.listPlacements({ stack })).placements;
  assert.equal([shown?.phase, shown?.heldKeys, shown?.order], [PlacementPhase.HELD, ['many'], entry.order]);
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'never shown') });
  const { generation, order, heldKeys } = shown!;
  const confirm = (more: { heldKeys?: string[]; order?: bigint }) =>
    admin.confirmRemoval({ agent: 'overtaken', stack, generation, ...more });
  await refused(confirm({ heldKeys, order }), Code.Aborted, 'at order');
  await refused(confirm({ heldKeys }), Code.InvalidArgument, 'order');
  assert.equal((await confirm({})).placement?.heldKeys, []);
  const now = await eventually(async () => {
    const current = await agent.entry(stack);
    return current.confirmed && current;
  });
  assert.equal(now.confirmedKeys, [], 'nothing is confirmed that was not shown');
});

confirmations.run();
