import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome, Receipt } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { createEventFixture, type EventInit, eventFor, reportEvents } from '../../test/event-fixture.ts';
import { openMigrated } from '../open-store.ts';

const test = await startTestBroker();
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const events = suite('events');
events.after(async () => {
  await db.close();
  await test.close();
});

const scene = () => createEventFixture(test);
const phaseOf = async (stack: string) => (await broker.listPlacements({ stack })).placements[0]?.phase;
const { ACCEPTED, DUPLICATE, REFUSED } = Receipt;

events('are stored once and in order, however often they are sent', async () => {
  const { agent, stack, entry } = await scene();
  const [one, two, three] = [1n, 2n, 3n].map((sequence) => eventFor(entry, Outcome.FAILED, sequence)) as [
    EventInit,
    EventInit,
    EventInit,
  ];
  assert.equal(await reportEvents(agent, one, two), [ACCEPTED, ACCEPTED]);
  assert.equal(await reportEvents(agent, two, three), [DUPLICATE, ACCEPTED]);
  assert.equal(await reportEvents(agent, three, one), [DUPLICATE, DUPLICATE]);
  const twice = await Promise.all(
    Array.from({ length: 8 }, () => reportEvents(agent, eventFor(entry, Outcome.APPLIED, 4n))),
  );
  assert.equal(twice.flat().sort(), [ACCEPTED, ...Array.from({ length: 7 }, () => DUPLICATE)].sort());
  const { events: stored } = await broker.listEvents({ stack });
  assert.equal(
    stored.map(({ sequence }) => sequence),
    [4n, 3n, 2n, 1n],
  );
  // A new start of the agent counts from 1 again.
  await agent.start();
  assert.equal(await reportEvents(agent, eventFor(entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
});

events('that were lost are recorded as a gap, even before a refused one', async () => {
  const { agent, stack, entry } = await scene();
  assert.equal(await reportEvents(agent, eventFor(entry, Outcome.APPLIED, 4n)), [ACCEPTED]);
  const foreign = { ...eventFor(entry, Outcome.APPLIED, 7n), stackId: '00000000-0000-7000-8000-000000000000' };
  assert.equal(await reportEvents(agent, foreign), [REFUSED]);
  const { events: all } = await broker.listEvents({ agent: agent.name });
  assert.equal(
    all.map(({ outcome, sequence, message }) => [outcome, sequence, message]),
    [
      [Outcome.GAP, 6n, '2 events before this one were lost'],
      [Outcome.APPLIED, 4n, ''],
      [Outcome.GAP, 3n, '3 events before this one were lost'],
    ],
  );
  assert.is((await broker.listEvents({ stack, outcome: Outcome.GAP })).events.length, 1);
});

events('that are invalid do not block the others', async () => {
  const [mine, other] = [await scene(), await scene()];
  const { agent, entry } = mine;
  const receipts = await reportEvents(
    agent,
    eventFor(other.entry, Outcome.APPLIED, 1n),
    { sequence: 2n, outcome: Outcome.FAILED },
    { ...eventFor(entry, Outcome.APPLIED, 3n), generation: 2n ** 64n - 1n },
    { ...eventFor(entry, Outcome.FAILED, 4n), deploymentId: 'unknown', checksum: 'zz' },
    { sequence: 5n, outcome: Outcome.GAP, message: 'dropped 3' },
    eventFor(entry, Outcome.APPLIED, 6n),
    { ...eventFor(entry, Outcome.APPLIED, 2n ** 64n - 1n) },
  );
  assert.equal(receipts, [REFUSED, REFUSED, REFUSED, ACCEPTED, ACCEPTED, ACCEPTED, REFUSED]);
  assert.equal(
    await reportEvents(agent, eventFor(entry, Outcome.APPLIED, 7n)),
    [ACCEPTED],
    'a sequence out of range does not count',
  );
  assert.is(await phaseOf(other.stack), PlacementPhase.PENDING);
  assert.is(await phaseOf(mine.stack), PlacementPhase.APPLIED);
});

events('change the phase only while they are about the desired state', async () => {
  const { agent, stack, entry } = await scene();
  await broker.submitDeployment({ stack, manifest: configMap(stack, 'two') });
  assert.equal(await reportEvents(agent, eventFor(entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'late: revision 1');
  const two = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.revision === 2 && now;
  });
  assert.equal(await reportEvents(agent, { ...eventFor(two, Outcome.APPLIED, 2n), checksum: '0'.repeat(64) }), [
    ACCEPTED,
  ]);
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'other bytes');
  assert.equal(await reportEvents(agent, { ...eventFor(two, Outcome.APPLIED, 3n), generation: two.generation + 1n }), [
    ACCEPTED,
  ]);
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'another generation');
  await reportEvents(agent, eventFor(two, Outcome.FAILED, 4n), eventFor(two, Outcome.APPLIED, 5n));
  assert.is(await phaseOf(stack), PlacementPhase.APPLIED, 'the later of one batch');
  await reportEvents(agent, eventFor(two, Outcome.FAILED, 6n));
  assert.is(await phaseOf(stack), PlacementPhase.FAILED);
  await reportEvents(agent, eventFor(two, Outcome.REMOVED, 7n));
  assert.is((await broker.listPlacements({ stack })).placements[0]?.state, PlacementState.ACTIVE);
});

events('about a removal that waits show what it waits for, and do not end it', async () => {
  const { agent, stack, entry } = await scene();
  await broker.deleteStack({ stack });
  const removal = await eventually(async () => {
    const now = await agent.entry(stack);
    return now.generation !== entry.generation && now;
  });
  const message = 'waiting until ConfigMap default/a is gone, which waits for its finalizer example.org/a';
  assert.equal(await reportEvents(agent, { ...eventFor(removal, Outcome.WAITING, 1n), message }), [ACCEPTED]);
  const [placement] = (await broker.listPlacements({ agent: agent.name })).placements;
  assert.is(placement?.phase, PlacementPhase.REMOVING);
  assert.is(placement?.message, message);
});

events('of one agent do not affect the sequence of another', async () => {
  const [one, two] = [await scene(), await scene()];
  await reportEvents(one.agent, eventFor(one.entry, Outcome.APPLIED, 50n));
  assert.equal(await reportEvents(two.agent, eventFor(two.entry, Outcome.APPLIED, 1n)), [ACCEPTED]);
});

events('of an agent about what another one serves change nothing, and are not shown', async () => {
  const served = await startTestAgent(test, { name: 'served', labels: ['served'] });
  const liar = await startTestAgent(test, { name: 'liar' });
  await broker.createStack({ name: 'served', labels: ['served'] });
  await broker.submitDeployment({ stack: 'served', manifest: configMap('served') });
  const entry = await served.entry('served');
  await liar.report(entry, Outcome.FAILED, 'a lie');
  const { stackId, deploymentId, generation } = entry;
  const stacks = [{ stackId, deploymentId, generation, health: Health.FAILED, message: 'a lie' }];
  await liar.client.agent.reportHealth({ incarnation: liar.incarnation, stacks });
  const { placements } = await broker.listPlacements({ stack: 'served' });
  assert.equal(
    placements.map(({ agent, phase, health }) => [agent, phase, health]),
    [['served', PlacementPhase.PENDING, Health.UNSPECIFIED]],
  );
  assert.equal((await broker.listEvents({ stack: 'served' })).events, []);
});

events('and concurrent changes of the same placements do not conflict', async () => {
  const { agent, stack, entry } = await scene();
  const reports = (async () => {
    for (let sequence = 1n; sequence <= 40n; sequence += 1n)
      await reportEvents(agent, eventFor(entry, Outcome.FAILED, sequence));
  })();
  for (let times = 0; times < 10; times += 1) {
    await admin.updateAgent({ agent: agent.name, removeLabels: [stack] });
    await admin.updateAgent({ agent: agent.name, addLabels: [stack] });
  }
  await reports;
  assert.is(await phaseOf(stack), PlacementPhase.PENDING, 'they were about an earlier generation');
});

events.run();
