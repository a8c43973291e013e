import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { jobs } from '../../broker/jobs/jobs.ts';
import { openMigrated } from '../../broker/open-store.ts';
import type { BrokkrClient } from '../../client/client.ts';
import type { Agent } from '../../gen/brokkr/v1/cluster_agent_pb.ts';
import { PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { type LabelSelector, SelectorOperator, type Stack } from '../../gen/brokkr/v1/stack_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../agents.ts';
import { eventually, startTestBroker } from '../broker.ts';

const edits = 1_000;
const rounds = 5;
const connections = 8;
/** The same seed makes the same edits; their interleaving depends on the machine. */
const seed = Number(process.env.BROKKR_TEST_SEED ?? Date.now() % 2 ** 31);

const agentNames = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
const generatorNames = ['system', 'g1', 'g2', 'g3'];
const stackNames = generatorNames.flatMap((generator) => [1, 2, 3].map((at) => `${generator}/s${at}`));

const agent = fc.constantFrom(...agentNames);
const stack = fc.constantFrom(...stackNames);
const generator = fc.constantFrom(...generatorNames);
const label = fc.constantFrom('l1', 'l2', 'l3', 'l4');
const labels = fc.uniqueArray(label, { maxLength: 2 });
const annotations = fc.dictionary(fc.constantFrom('k1', 'k2', 'l1'), fc.constantFrom('', 'v1', 'v2'), { maxKeys: 2 });
const term = fc.oneof(
  fc.record({
    key: fc.constantFrom('k1', 'k2', 'l1', 'l2'),
    operator: fc.constantFrom(SelectorOperator.IN, SelectorOperator.NOT_IN),
    values: fc.uniqueArray(fc.constantFrom('', 'v1', 'v2'), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom('k1', 'k2', 'l1', 'l2'),
    operator: fc.constantFrom(SelectorOperator.EXISTS, SelectorOperator.DOES_NOT_EXIST),
  }),
);
const selector = fc.oneof(
  fc.constant(undefined),
  fc.constant({ matchAll: true }),
  fc.array(term, { minLength: 1, maxLength: 3 }).map((matchExpressions) => ({ matchExpressions })),
);

const edit = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('edit agent' as const),
      agent,
      add: labels,
      remove: labels,
      set: annotations,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('edit stack' as const),
      stack,
      add: labels,
      remove: labels,
      set: annotations,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('select' as const), stack, selector }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('target' as const), stack, agent, add: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('register' as const),
      generator,
      agent,
      add: fc.boolean(),
      own: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('make stack' as const), stack, labels, annotations, selector }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete stack' as const), stack }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('make agent' as const), agent, labels, annotations }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete agent' as const), agent, orphan: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('make generator' as const), generator }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete generator' as const), generator }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), agent, on: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('obey' as const), agent }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('submit' as const), stack, value: fc.string({ maxLength: 3 }) }),
  },
);
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

const test = await startTestBroker({ brokers: 2 });
const clients = Array.from({ length: connections }, (_, lane) => {
  const url = test.urls[lane % 2] ?? test.url;
  return { url, client: test.client(undefined, { url }) };
});
const agents = new Map<string, TestAgent>();
const story = suite('random edits from eight connections over two brokers');
story.after(() => test.close());

/** Codes of an edit that a concurrent one has made impossible; any other is a defect. */
const usual = new Set([Code.NotFound, Code.AlreadyExists, Code.FailedPrecondition, Code.Unauthenticated, Code.Aborted]);

async function carryOut(client: BrokkrClient, url: string, what: Edit): Promise<void> {
  const { admin, broker } = client;
  const self = 'agent' in what ? agents.get(what.agent) : undefined;
  switch (what.do) {
    case 'edit agent':
      await admin.updateAgent({
        agent: what.agent,
        addLabels: what.add,
        removeLabels: what.remove,
        setAnnotations: what.set,
      });
      return;
    case 'edit stack':
      await broker.updateStack({
        stack: what.stack,
        addLabels: what.add,
        removeLabels: what.remove,
        setAnnotations: what.set,
      });
      return;
    case 'select':
      await broker.updateStack({
        stack: what.stack,
        ...(what.selector && { selector: what.selector }),
        updateMask: { paths: ['selector'] },
      });
      return;
    case 'target':
      await (what.add ? broker.addTarget : broker.removeTarget)(what);
      return;
    case 'register':
      if (!what.own || !self) await (what.add ? admin.addRegistration : admin.removeRegistration)(what);
      else
        await (what.add ? self.client.agent.registerGenerator : self.client.agent.deregisterGenerator)({
          generator: what.generator,
          incarnation: self.incarnation,
        });
      return;
    case 'make stack': {
      const [owner = '', name = ''] = what.stack.split('/');
      const { labels: own, annotations: notes, selector: wanted } = what;
      await broker.createStack({
        name,
        generator: owner,
        labels: own,
        annotations: notes,
        ...(wanted && { selector: wanted }),
      });
      return;
    }
    case 'delete stack':
      await broker.deleteStack({ stack: what.stack });
      return;
    case 'make agent':
      agents.set(
        what.agent,
        await startTestAgent(test, { name: what.agent, labels: what.labels, annotations: what.annotations, url }),
      );
      return;
    case 'delete agent':
      await admin.deleteAgent({ agent: what.agent, orphan: what.orphan });
      return;
    case 'make generator':
      await admin.createGenerator({ name: what.generator });
      return;
    case 'delete generator':
      await admin.deleteGenerator({ generator: what.generator, cascade: true });
      return;
    case 'pause':
      await (what.on ? admin.pauseAgent : admin.resumeAgent)({ agent: what.agent });
      return;
    case 'obey':
      await self?.reconcile();
      return;
    case 'submit':
      await broker.submitDeployment({ stack: what.stack, manifest: configMap('c', what.value) });
  }
}

/** Computes the placements directly from the words of the rule. */
function naive(all: readonly Agent[], stacks: readonly Stack[]): string[] {
  return all
    .flatMap((one) =>
      stacks.filter((other) => matches(one, other)).map((other) => `${one.name} ${other.generator}/${other.name}`),
    )
    .sort();
}

function matches(one: Agent, other: Stack): boolean {
  if (!one.generators.includes(other.generator)) return false;
  const valuesOf = (key: string) => [
    ...(one.annotations[key] === undefined ? [] : [one.annotations[key]]),
    ...(one.labels.includes(key) ? [''] : []),
  ];
  return (
    other.targets.includes(one.name) ||
    other.labels.some((own) => one.labels.includes(own)) ||
    Object.entries(other.annotations).some(([key, value]) => one.annotations[key] === value) ||
    (other.selector !== undefined && selects(other.selector, valuesOf))
  );
}

function selects(wanted: LabelSelector, valuesOf: (key: string) => string[]): boolean {
  return wanted.matchExpressions.every(({ key, operator, values }) => {
    const own = valuesOf(key);
    switch (operator) {
      case SelectorOperator.IN:
        return own.some((value) => values.includes(value));
      case SelectorOperator.NOT_IN:
        return !own.some((value) => values.includes(value));
      case SelectorOperator.EXISTS:
        return own.length > 0;
      default:
        return own.length === 0;
    }
  });
}

/** Makes edits from all connections concurrently. */
async function carryOutAll(todo: readonly Edit[]): Promise<number> {
  let done = 0;
  const lanes = clients.map(async ({ client, url }, lane) => {
    for (let at = lane; at < todo.length; at += clients.length) {
      const what = todo[at] as Edit;
      try {
        await carryOut(client, url, what);
        done += 1;
      } catch (error) {
        const { code, message } = ConnectError.from(error);
        assert.ok(usual.has(code), `${JSON.stringify(what)}: ${message}`);
      }
    }
  });
  await Promise.all(lanes);
  return done;
}

/** Compares placements, and the target states from either broker, with the naive model. Returns their number. */
async function compare(): Promise<number> {
  const { admin, broker } = test.client();
  const { agents: all } = await admin.listAgents({ pageSize: 500 });
  const { stacks } = await broker.listStacks({ pageSize: 500 });
  const { placements } = await broker.listPlacements({ pageSize: 500 });
  const active = placements.filter(({ state }) => state === PlacementState.ACTIVE);
  assert.equal(active.map((one) => `${one.agent} ${one.stack}`).sort(), naive(all, stacks));
  for (const { name } of all) await admin.resumeAgent({ agent: name });
  for (const url of test.urls) {
    for (const { id, name } of all) {
      const self = agents.get(name);
      assert.is(self?.id, id);
      const { agent: mine } = test.client(self?.pak, { url });
      const own = active.filter((one) => one.agentId === id && one.desiredDeploymentId !== '');
      await eventually(async () => {
        const { entries } = await mine.pullTargetState({ incarnation: self?.incarnation ?? 0n });
        const told = entries.filter(({ state }) => state === PlacementState.ACTIVE).map(({ stackId }) => stackId);
        assert.equal(told.sort(), own.map(({ stackId }) => stackId).sort());
        return true;
      });
    }
  }
  return active.length;
}

story(`always leave the placements that the rules prescribe (BROKKR_TEST_SEED=${seed})`, async () => {
  const { admin } = test.client();
  for (const name of generatorNames.slice(1)) await admin.createGenerator({ name });
  for (const name of agentNames) agents.set(name, await startTestAgent(test, { name, generators: ['g1', 'g2'] }));
  const todo = fc.sample(edit, { seed, numRuns: edits });
  let done = 0;
  let compared = 0;
  for (let start = 0; start < edits; start += edits / rounds) {
    done += await carryOutAll(todo.slice(start, start + edits / rounds));
    compared += await compare();
  }
  assert.ok(done > edits / 4 && compared > 0, `${done} edits were possible, ${compared} placements were compared`);
  const db = await openMigrated(test.config);
  try {
    assert.is(
      await jobs.find(({ name }) => name === 'placement_repair')?.run(db, { telemetryMs: 0 }),
      0,
      'nothing to repair',
    );
  } finally {
    await db.close();
  }
  assert.is(test.logged.filter((line) => /were repaired|a call failed|a job failed/.test(line)).join(''), '');
});

story.run();
