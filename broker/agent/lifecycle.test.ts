import { randomUUID } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome, Receipt } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const lives = suite('ends of stacks, agents and generators');
lives.after(() => test.close());

let stacks = 0;
/** A stack with a deployment, placed by a label of its own. */
async function makeStack(more: { label?: string } = {}) {
  const name = `stack-${++stacks}`;
  const { label = name } = more;
  await broker.createStack({ name, labels: [label] });
  await broker.submitDeployment({ stack: name, manifest: configMap(name) });
  return name;
}

lives('a deleted stack stays until the last agent has acknowledged, and its name is free at once', async () => {
  const stack = await makeStack();
  const one = await startTestAgent(test, { name: 'one', labels: [stack] });
  const two = await startTestAgent(test, { name: 'two', labels: [stack] });
  await one.reconcile();
  const { stack: deleted } = await broker.deleteStack({ stack });
  assert.ok(deleted?.deleteTime);
  assert.is(deleted?.placements?.removing, 2);
  for (const change of [
    () => broker.deleteStack({ stack }),
    () => broker.submitDeployment({ stack, manifest: configMap('x') }),
    () => broker.addTarget({ stack, agent: 'one' }),
  ]) {
    const error = await refused(change(), Code.FailedPrecondition, `stack "${stack}" is being deleted`);
    assert.is(error.findDetails(ErrorInfoSchema)[0]?.reason, 'DELETED');
  }
  await eventually(async () => (await one.removingStacks()).includes(stack));
  await one.reconcile();
  assert.ok((await broker.getStack({ stack })).stack?.deleteTime);
  const { stack: successor } = await broker.createStack({ name: stack });
  assert.is.not(successor?.id, deleted?.id);
  await two.reconcile();
  await eventually(async () => (await two.pull()).entries.length === 0);
  await refused(broker.getStack({ stack: deleted?.id ?? '' }), Code.NotFound);
  assert.is((await broker.getStack({ stack })).stack?.id, successor?.id);
});

lives('a stack that no agent serves is gone at once', async () => {
  const stack = await makeStack();
  assert.ok((await broker.deleteStack({ stack })).stack?.deleteTime);
  await refused(broker.getStack({ stack }), Code.NotFound);
});

lives('an acknowledgement counts only for its generation', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'acks', labels: [stack] });
  await admin.updateAgent({ agent: 'acks', removeLabels: [stack] });
  const removal = await eventually(async () => {
    const entry = await agent.entry(stack);
    return entry.state === PlacementState.REMOVING && entry;
  });
  // Matched again, then lost again: the first acknowledgement is about neither.
  await admin.updateAgent({ agent: 'acks', addLabels: [stack] });
  await agent.report(removal, Outcome.REMOVED);
  assert.equal(
    await eventually(async () => ((await agent.activeStacks()).length > 0 ? agent.activeStacks() : undefined)),
    [stack],
  );
  const again = await agent.entry(stack);
  assert.ok(again.generation > removal.generation && again.order > removal.order);
  await admin.updateAgent({ agent: 'acks', removeLabels: [stack] });
  await agent.report(removal, Outcome.REMOVED);
  await eventually(async () => (await agent.removingStacks()).includes(stack));
  await agent.reconcile();
  await eventually(async () => (await agent.pull()).entries.length === 0);
});

lives('a drained agent lives, and so does its key, until its last acknowledgement', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'leaver', labels: [stack] });
  await agent.reconcile();
  const { agent: leaving } = await admin.deleteAgent({ agent: 'leaver' });
  assert.ok(leaving?.deleteTime);
  assert.is(leaving?.placements?.removing, 1);
  await refused(admin.updateAgent({ agent: 'leaver', addLabels: ['x'] }), Code.FailedPrecondition, 'being deleted');
  await refused(broker.addTarget({ stack, agent: 'leaver' }), Code.NotFound);
  await broker.createStack({ name: 'for-all', selector: { matchAll: true } });
  await broker.submitDeployment({ stack: 'for-all', manifest: configMap('for-all') });
  const { agent: successor } = await admin.createAgent({ name: 'leaver' });
  assert.is.not(successor?.id, leaving?.id);
  await eventually(async () => (await agent.removingStacks()).includes(stack));
  assert.equal(await agent.activeStacks(), []);
  await agent.reconcile();
  await eventually(async () => refused(agent.client.agent.getSelf({}), Code.Unauthenticated));
  await refused(admin.getAgent({ agent: leaving?.id ?? '' }), Code.NotFound);
  await broker.deleteStack({ stack: 'for-all' });
});

lives('an orphaned agent, and one that never started, are gone at once', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'orphan', labels: [stack] });
  await admin.createAgent({ name: 'unborn', labels: [stack] });
  await admin.deleteAgent({ agent: 'orphan', orphan: true });
  await admin.deleteAgent({ agent: 'unborn' });
  await eventually(async () => refused(agent.client.agent.getSelf({}), Code.Unauthenticated));
  for (const name of ['orphan', 'unborn']) await refused(admin.getAgent({ agent: name }), Code.NotFound);
  assert.is((await broker.getStack({ stack })).stack?.placements?.removing, 0);
});

lives('an agent that drains can be let go of', async () => {
  const stack = await makeStack();
  await startTestAgent(test, { name: 'lost', labels: [stack] });
  await admin.deleteAgent({ agent: 'lost' });
  const { placements } = await broker.listPlacements({ stack });
  const [placement] = placements;
  assert.is(placement?.phase, PlacementPhase.REMOVING);
  const generation = placement?.generation ?? 0n;
  const agent = placement?.agentId ?? '';
  await refused(admin.forgetRemoval({ agent, stack, generation: generation + 1n }), Code.Aborted, 'generation');
  await admin.forgetRemoval({ agent, stack, generation });
  await refused(admin.getAgent({ agent }), Code.NotFound);
});

lives('a removal is forgotten only while it is one', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'keeps', labels: [stack] });
  const { generation } = await agent.entry(stack);
  await refused(admin.forgetRemoval({ agent: 'keeps', stack, generation }), Code.FailedPrecondition, 'active');
  await refused(admin.confirmRemoval({ agent: 'keeps', stack, generation: generation + 1n }), Code.Aborted);
});

lives(
  'an agent keeps to its cluster until it is rebound, which applies everything anew and abandons removals',
  async () => {
    const [kept, dropped] = [await makeStack(), await makeStack()];
    const agent = await startTestAgent(test, { name: 'mover', labels: [kept, dropped] });
    await agent.reconcile();
    await admin.updateAgent({ agent: 'mover', removeLabels: [dropped] });
    await eventually(async () => (await agent.removingStacks()).includes(dropped));
    const before = await agent.entry(kept);
    const clusterId = randomUUID();
    await refused(agent.start({ clusterId }), Code.FailedPrecondition, 'belongs to cluster');
    await admin.rebindAgent({ agent: 'mover' });
    await eventually(async () => refused(agent.pull(), Code.FailedPrecondition, 'was replaced'));
    await agent.start({ clusterId });
    const pulled = await agent.pull();
    assert.equal(
      pulled.entries.map((entry) => entry.stack),
      [kept],
    );
    assert.ok((pulled.entries[0]?.generation ?? 0n) > before.generation);
    assert.is((await broker.listPlacements({ stack: kept })).placements[0]?.phase, PlacementPhase.PENDING);
    await refused(agent.start(), Code.FailedPrecondition, 'belongs to cluster');
  },
);

lives('of two agents with one key the later start wins, in every call', async () => {
  const stack = await makeStack();
  const first = await startTestAgent(test, { name: 'twin', labels: [stack] });
  const entry = await first.entry(stack);
  const old = first.incarnation;
  const { digest } = await first.pull();
  const call = first.client.agent;
  const waiting = call.pullTargetState({ incarnation: old, digest, wait: { seconds: 60n } });
  const ended = refused(waiting, Code.FailedPrecondition, 'was replaced');
  await first.start();
  await ended;
  const fenced = [
    () => call.pullTargetState({ incarnation: old }),
    () => call.heartbeat({ incarnation: old }),
    () => call.registerGenerator({ incarnation: old, generator: 'system' }),
    () => call.deregisterGenerator({ incarnation: old, generator: 'system' }),
    () =>
      call.reportEvents({
        incarnation: old,
        events: [{ sequence: 1n, stackId: entry.stackId, generation: entry.generation, outcome: Outcome.REMOVED }],
      }),
    async () => {
      for await (const _ of call.getManifests({ incarnation: old, checksums: [entry.checksum] })) break;
    },
  ];
  for (const ask of fenced) await refused(ask(), Code.FailedPrecondition, 'was replaced');
  assert.equal(await first.activeStacks(), [stack]);
});

lives('a deleted generator takes its key, consents and stacks with it', async () => {
  const made = await admin.createGenerator({ name: 'shop' });
  const generator = test.client(made.pak).broker;
  const agent = await startTestAgent(test, { name: 'shopper', labels: ['shop'], generators: ['shop'] });
  await generator.createStack({ name: 'till', labels: ['shop'] });
  await generator.submitDeployment({ stack: 'till', manifest: configMap('till') });
  await eventually(async () => (await agent.activeStacks()).includes('till'));
  await refused(admin.deleteGenerator({ generator: 'shop' }), Code.FailedPrecondition, 'has 1 stacks');
  await admin.deleteGenerator({ generator: 'shop', cascade: true });
  await eventually(async () => refused(generator.whoAmI({}), Code.Unauthenticated));
  await refused(admin.addRegistration({ agent: 'shopper', generator: 'shop' }), Code.FailedPrecondition);
  await eventually(async () => (await agent.removingStacks()).includes('till'));
  assert.match((await agent.entry('till')).reason, /generator "shop" was deleted/);
  assert.is((await agent.entry('till')).generator, 'shop');
  await admin.createGenerator({ name: 'shop' });
  await agent.reconcile();
  await eventually(async () => (await agent.pull()).entries.length === 0);
  await refused(admin.deleteGenerator({ generator: 'system', cascade: true }), Code.FailedPrecondition, 'system');
});

lives('an event of a removal that is forgotten is refused, not retried for ever', async () => {
  const stack = await makeStack();
  const agent = await startTestAgent(test, { name: 'late', labels: [stack] });
  await admin.updateAgent({ agent: 'late', removeLabels: [stack] });
  const removal = await eventually(async () => {
    const entry = await agent.entry(stack);
    return entry.state === PlacementState.REMOVING && entry;
  });
  await admin.forgetRemoval({ agent: 'late', stack, generation: removal.generation });
  const { receipts } = await agent.report(removal, Outcome.REMOVED);
  assert.is(receipts[0]?.receipt, Receipt.REFUSED);
});

lives.run();
