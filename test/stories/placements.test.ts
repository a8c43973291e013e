import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RegistrationPolicy, RegistrationState } from '../../gen/brokkr/v1/generator_pb.ts';
import { MatchKind, PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { SelectorOperator } from '../../gen/brokkr/v1/stack_pb.ts';
import { TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent } from '../agents.ts';
import { eventually, refused, startTestBroker } from '../broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const story = suite('placements');
story.after(() => test.close());

const submit = (stack: string) => broker.submitDeployment({ stack, manifest: configMap(stack) });

story('a lost label removes the stack from that agent only, a gained one adds it', async () => {
  const east = await startTestAgent(test, { name: 'east', labels: ['blue'] });
  const west = await startTestAgent(test, { name: 'west', labels: ['blue'] });
  const north = await startTestAgent(test, { name: 'north' });
  await broker.createStack({ name: 'web', labels: ['blue', 'green'] });
  await submit('web');
  await east.reconcile();
  await west.reconcile();
  await admin.updateAgent({ agent: 'east', removeLabels: ['blue'] });
  await admin.updateAgent({ agent: 'north', addLabels: ['green'] });
  await eventually(async () => (await east.removes()).includes('web'));
  assert.equal(await east.serves(), []);
  await eventually(async () => (await north.serves()).includes('web'));
  assert.equal([await west.serves(), await west.removes()], [['web'], []]);
  const removal = await east.entry('web');
  assert.match(removal.reason, /no longer matches/);
  assert.equal(removal.kinds, ['v1/ConfigMap']);
  await east.reconcile();
  await eventually(async () => (await east.pull()).entries.length === 0);
  const { placements } = await broker.listPlacements({ stack: 'web' });
  assert.equal(placements.map((placement) => placement.agent).sort(), ['north', 'west']);
});

story('target, label, annotation and selector each place a stack, and all reasons are listed', async () => {
  const many = await startTestAgent(test, { name: 'many', labels: ['l1'], annotations: { tier: 'gold', zone: 'a' } });
  const two = await startTestAgent(test, { name: 'two', labels: ['l2'], annotations: { tier: 'silver', zone: 'b' } });
  const none = await startTestAgent(test, { name: 'none' });
  await broker.createStack({ name: 'by-label', labels: ['l1', 'l2'] });
  await broker.createStack({ name: 'by-annotation', annotations: { tier: 'gold' } });
  await broker.createStack({ name: 'by-selector', selector: { matchLabels: { zone: 'b' } } });
  await broker.createStack({ name: 'by-target' });
  await broker.createStack({
    name: 'by-all',
    labels: ['l1'],
    annotations: { zone: 'a' },
    selector: { matchExpressions: [{ key: 'tier', operator: SelectorOperator.EXISTS }] },
  });
  await broker.addTarget({ stack: 'by-target', agent: 'none' });
  await broker.addTarget({ stack: 'by-all', agent: 'many' });
  for (const stack of ['by-label', 'by-annotation', 'by-selector', 'by-target', 'by-all']) await submit(stack);
  await eventually(async () => {
    assert.equal(await many.serves(), ['by-all', 'by-annotation', 'by-label']);
    assert.equal(await two.serves(), ['by-all', 'by-label', 'by-selector']);
    assert.equal(await none.serves(), ['by-target']);
    return true;
  });
  const { placements } = await broker.listPlacements({ stack: 'by-all', agent: 'many' });
  const reasons = placements[0]?.reasons.map(({ kind, detail }) => [kind, detail]);
  assert.equal(reasons, [
    [MatchKind.ANNOTATION, 'zone=a'],
    [MatchKind.LABEL, 'l1'],
    [MatchKind.SELECTOR, ''],
    [MatchKind.TARGET, ''],
  ]);
  // With one reason less, the placement stays and keeps its generation.
  const before = await many.entry('by-all');
  await broker.removeTarget({ stack: 'by-all', agent: 'many' });
  await admin.updateAgent({ agent: 'many', removeLabels: ['l1'], setAnnotations: { zone: 'z' } });
  await eventually(async () => (await many.removes()).includes('by-label'));
  const after = await many.entry('by-all');
  assert.equal([after.generation, after.order], [before.generation, before.order]);
  await admin.updateAgent({ agent: 'many', removeAnnotations: ['tier'] });
  await eventually(async () => (await many.removes()).includes('by-all'));
});

story('a selector has the Kubernetes syntax, over labels and annotations', async () => {
  const { IN, NOT_IN, EXISTS, DOES_NOT_EXIST } = SelectorOperator;
  await admin.createAgent({ name: 's-both', labels: ['env'], annotations: { env: 'prod', 'x.io/team': 'red' } });
  await admin.createAgent({ name: 's-label', labels: ['env'] });
  await admin.createAgent({ name: 's-dev', annotations: { env: 'dev' } });
  await admin.createAgent({ name: 's-none', labels: ['other'] });
  const all = ['s-both', 's-dev', 's-label', 's-none'];
  const table = [
    { terms: [{ key: 'env', operator: IN, values: ['prod'] }], agents: ['s-both'] },
    { terms: [{ key: 'env', operator: IN, values: ['prod', 'dev'] }], agents: ['s-both', 's-dev'] },
    { terms: [{ key: 'env', operator: IN, values: [''] }], agents: ['s-both', 's-label'] },
    { terms: [{ key: 'env', operator: NOT_IN, values: ['prod'] }], agents: ['s-dev', 's-label', 's-none'] },
    { terms: [{ key: 'env', operator: NOT_IN, values: ['prod', ''] }], agents: ['s-dev', 's-none'] },
    { terms: [{ key: 'env', operator: EXISTS }], agents: ['s-both', 's-dev', 's-label'] },
    { terms: [{ key: 'env', operator: DOES_NOT_EXIST }], agents: ['s-none'] },
    { terms: [{ key: 'nowhere', operator: DOES_NOT_EXIST }], agents: all },
    { terms: [{ key: 'nowhere', operator: NOT_IN, values: ['a'] }], agents: all },
    {
      terms: [
        { key: 'env', operator: EXISTS },
        { key: 'x.io/team', operator: NOT_IN, values: ['red'] },
      ],
      agents: ['s-dev', 's-label'],
    },
  ];
  await broker.createStack({ name: 'selected' });
  const placed = async () => {
    const { placements } = await broker.listPlacements({ stack: 'selected', pageSize: 500 });
    const active = placements.filter((placement) => placement.phase === PlacementPhase.PENDING);
    return active
      .map((placement) => placement.agent)
      .filter((name) => name.startsWith('s-'))
      .sort();
  };
  const select = (selector: Parameters<typeof broker.updateStack>[0]['selector']) =>
    broker.updateStack({ stack: 'selected', ...(selector && { selector }), updateMask: { paths: ['selector'] } });
  assert.equal(await placed(), [], 'an unset selector matches nothing');
  for (const { terms, agents } of table) {
    await select({ matchExpressions: terms });
    assert.equal(await placed(), agents, JSON.stringify(terms));
  }
  await select({ matchLabels: { env: 'dev' } });
  assert.equal(await placed(), ['s-dev']);
  await select({ matchAll: true });
  assert.equal(await placed(), all);
  await select(undefined);
  assert.equal(await placed(), []);
  await refused(select({}), Code.InvalidArgument, 'match_all');
  await refused(select({ matchAll: true, matchLabels: { a: 'b' } }), Code.InvalidArgument, 'both');
  await refused(select({ matchExpressions: [{ key: 'a', operator: IN }] }), Code.InvalidArgument, 'needs values');
  await refused(
    select({ matchExpressions: [{ key: 'a', operator: EXISTS, values: ['b'] }] }),
    Code.InvalidArgument,
    'takes no values',
  );
  const terms = Array.from({ length: 33 }, (_, index) => [`k${index}`, 'v']);
  await refused(
    select({ matchLabels: Object.fromEntries(terms.slice(0, 32)), matchExpressions: [{ key: 'a', operator: EXISTS }] }),
    Code.InvalidArgument,
    '33 terms',
  );
  await refused(select({ matchLabels: { '': 'v' } }), Code.InvalidArgument, 'without a key');
});

story('a paused agent receives nothing else, and continues where it was', async () => {
  const agent = await startTestAgent(test, { name: 'sleepy', labels: ['sleep'] });
  await broker.createStack({ name: 'bed', labels: ['sleep'] });
  await submit('bed');
  const before = await eventually(async () => {
    const pulled = await agent.pull();
    return pulled.entries.length === 1 && pulled;
  });
  const waiting = agent.client.agent.pullTargetState({
    incarnation: agent.incarnation,
    digest: before.digest,
    wait: { seconds: 60n },
  });
  await admin.pauseAgent({ agent: 'sleepy' });
  assert.is((await waiting).kind, TargetStateKind.PAUSED);
  const paused = await agent.pull();
  assert.equal([paused.kind, paused.entries.length], [TargetStateKind.PAUSED, 0]);
  assert.is((await agent.pull({ digest: paused.digest })).kind, TargetStateKind.UNCHANGED);
  await admin.updateAgent({ agent: 'sleepy', removeLabels: ['sleep'] });
  assert.is((await agent.pull()).kind, TargetStateKind.PAUSED, 'nothing is removed meanwhile');
  await admin.updateAgent({ agent: 'sleepy', addLabels: ['sleep'] });
  await admin.resumeAgent({ agent: 'sleepy' });
  await eventually(async () => (await agent.serves()).includes('bed'));
});

story(
  'an approving generator places nothing before the approval, and deregistering removes what it placed',
  async () => {
    const ci = await admin.createGenerator({ name: 'ci', registration: RegistrationPolicy.APPROVE });
    const generator = test.client(ci.pak).broker;
    const agent = await startTestAgent(test, { name: 'shy', labels: ['shy'] });
    await generator.createStack({ name: 'mine', labels: ['shy'], selector: { matchAll: true } });
    await generator.submitDeployment({ stack: 'mine', manifest: configMap('mine') });
    await refused(generator.addTarget({ stack: 'mine', agent: 'shy' }), Code.NotFound);
    await refused(broker.addTarget({ stack: 'ci/mine', agent: 'shy' }), Code.FailedPrecondition, 'not registered');
    const { incarnation } = agent;
    const asked = await agent.client.agent.registerGenerator({ incarnation, generator: 'ci' });
    assert.is(asked.registration?.state, RegistrationState.REQUESTED);
    await refused(broker.addTarget({ stack: 'ci/mine', agent: 'shy' }), Code.FailedPrecondition, 'not registered');
    assert.is((await broker.listPlacements({ stack: 'ci/mine' })).placements.length, 0);
    await admin.addRegistration({ agent: 'shy', generator: 'ci' });
    await generator.addTarget({ stack: 'mine', agent: 'shy' });
    await eventually(async () => (await agent.serves()).includes('mine'));
    await agent.reconcile();
    await agent.client.agent.deregisterGenerator({ incarnation, generator: 'ci' });
    await eventually(async () => (await agent.removes()).includes('mine'));
    assert.match((await agent.entry('mine')).reason, /registration with generator "ci" was removed by shy/);
    await agent.reconcile();
    await eventually(async () => (await agent.pull()).entries.every((entry) => entry.stack !== 'mine'));
    // Repeated consent does not restore the old target, only what matches now.
    await admin.updateAgent({ agent: 'shy', removeLabels: ['shy'] });
    await generator.updateStack({ stack: 'mine', updateMask: { paths: ['selector'] } });
    await admin.addRegistration({ agent: 'shy', generator: 'ci' });
    assert.is((await generator.listPlacements({ stack: 'mine' })).placements.length, 0);
    await refused(
      agent.client.agent.deregisterGenerator({ incarnation, generator: 'system' }),
      Code.FailedPrecondition,
      'stays registered',
    );
  },
);

story.run();
