import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { placementMessage } from '../../contract/placement-message.ts';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';
import { groupByCause, normalizedMessage, type ProblemRow } from './rules.ts';

const test = await startTestBroker();
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const problems = suite('problems');
problems.after(async () => {
  await db.close();
  await test.close();
});

const silence = (agent: TestAgent) =>
  db.sql(`update agent_status set last_heartbeat_at = now() - interval '1 hour' where agent_id = $1`, [agent.id]);

async function deployTo(stack: string, names: readonly string[]): Promise<TestAgent[]> {
  const agents: TestAgent[] = [];
  for (const name of names) agents.push(await startTestAgent(test, { name, labels: [stack] }));
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack), message: `${stack} 1.0` });
  return agents;
}

async function reportHealth(agent: TestAgent, stack: string, health: Health, message: string): Promise<void> {
  const entry = await agent.entry(stack);
  await agent.report(entry, Outcome.APPLIED);
  const { stackId, deploymentId, generation } = entry;
  await agent.client.agent.reportHealth({
    incarnation: agent.incarnation,
    stacks: [{ stackId, deploymentId, generation, health, message }],
  });
}

problems('are one row for each cause, whatever names and numbers the clusters gave', async () => {
  assert.equal((await broker.listProblems({})).problems, []);
  const agents = await deployTo('shop', ['s-1', 's-2', 's-3', 's-4', 's-5', 's-6', 's-7']);
  const pods = ['web-5d9f8c7b6d-x2k4p', 'web-7c8d9f6b5-zz4tk', 'web-6b9d8f7c4d-q8w2n'];
  for (const [index, pod] of pods.entries())
    await reportHealth(
      agents[index]!,
      'shop',
      Health.FAILED,
      `${index} of 3 replicas ready; pod ${pod}: ImagePullBackOff`,
    );
  await reportHealth(agents[3]!, 'shop', Health.DEGRADED, '2 of 3 replicas ready');
  await agents[4]!.report(await agents[4]!.entry('shop'), Outcome.FAILED, 'admission webhook "policy" denied it');
  await reportHealth(agents[5]!, 'shop', Health.HEALTHY, '');
  await silence(agents[6]!);

  const { problems: listed, omitted } = await broker.listProblems({});
  assert.is(omitted, 0);
  assert.equal(
    listed.map(({ phase, health, placements, agents: names }) => [phase, health, placements, names]),
    [
      [PlacementPhase.APPLIED, Health.FAILED, 3, ['s-1', 's-2', 's-3']],
      [PlacementPhase.FAILED, Health.UNSPECIFIED, 1, ['s-5']],
      [PlacementPhase.APPLIED, Health.DEGRADED, 1, ['s-4']],
      [PlacementPhase.PENDING, Health.UNSPECIFIED, 1, ['s-7']],
    ],
  );
  const [first, second, , last] = listed;
  assert.match(first!.message, /replicas ready; pod web-.*: ImagePullBackOff$/);
  assert.equal(
    [first!.stack, first!.revision, first!.deploymentMessage, first!.stackPlacements],
    ['system/shop', 1, 'shop 1.0', 7],
  );
  assert.match(first!.createdBy, 'admin');
  assert.ok(first!.createTime && first!.sinceTime);
  assert.is(second!.message, 'admission webhook "policy" denied it');
  assert.is(last!.message, 'the agent is offline');
});

problems('tell what an agent that has not reported waits for', async () => {
  const [paused] = await deployTo('calm', ['c-1', 'c-2']);
  await admin.createAgent({ name: 'c-3', labels: ['calm'] });
  await admin.pauseAgent({ agent: paused!.name });
  const { problems: listed } = await broker.listProblems({ stack: 'calm' });
  assert.equal(
    listed.map(({ message, agents }) => [message, agents]),
    [
      ['', ['c-2']],
      ['the agent has never started', ['c-3']],
      ['the agent is paused', ['c-1']],
    ],
  );
  const { placements } = await broker.listPlacements({ stack: 'calm' });
  assert.equal(
    placements
      .map(({ agent, message, agentPaused }) => [agent, message, agentPaused])
      .sort(([a], [b]) => String(a).localeCompare(String(b))),
    [
      ['c-1', 'the agent is paused', true],
      ['c-2', '', false],
      ['c-3', 'the agent has never started', false],
    ],
  );
  assert.equal(
    placements.filter(({ agent }) => agent === 'c-1').map(placementMessage),
    ['the agent is paused'],
    'said once',
  );
  const shown = {
    phase: PlacementPhase.FAILED,
    message: 'no',
    health: Health.UNSPECIFIED,
    healthMessage: '',
    agentPaused: true,
  };
  assert.is(placementMessage(shown), 'no; the agent is paused');
});

problems('of other generators are not seen, and those of a stack are found by its name', async () => {
  const { pak } = await admin.createGenerator({ name: 'ci' });
  const { broker: own } = test.client(pak);
  assert.equal((await own.listProblems({})).problems, []);
  await refused(own.listProblems({ stack: 'system/shop' }), Code.NotFound);
  await own.createStack({ name: 'shop' });
  await own.submitDeployment({ stack: 'shop', manifest: configMap('shop') });
  assert.equal((await own.listProblems({})).problems, [], 'no agent serves it');
  const { agent } = await admin.createAgent({ name: 'ci-1', generators: ['ci'] });
  await own.addTarget({ stack: 'shop', agent: agent!.name });
  assert.equal(
    (await own.listProblems({})).problems.map(({ stack, agents }) => [stack, agents]),
    [['ci/shop', ['ci-1']]],
  );
});

problems('count a removal only when it fails', async () => {
  const [agent] = await deployTo('old', ['o-1']);
  await agent!.report(await agent!.entry('old'), Outcome.APPLIED);
  await broker.updateStack({ stack: 'old', removeLabels: ['old'] });
  const entry = await eventually(async () => {
    const current = await agent!.entry('old');
    return current.state === PlacementState.REMOVING && current;
  });
  assert.equal((await broker.listProblems({ stack: 'old' })).problems, []);
  await agent!.report(entry, Outcome.REMOVAL_FAILED, 'a finalizer stays');
  const { problems: listed } = await broker.listProblems({ stack: 'old' });
  assert.equal(
    listed.map(({ phase, message }) => [phase, message]),
    [[PlacementPhase.REMOVING, 'a finalizer stays']],
  );
});

problems('are compared without names that clusters make up, addresses and numbers', () => {
  const same = (a: string, b: string) => assert.is(normalizedMessage(a), normalizedMessage(b), `${a} | ${b}`);
  same('pod web-5d9f8c7b6d-x2k4p: OOMKilled', 'pod web-7c8d9f6b5-zz4tk: OOMKilled');
  same('pod agent-x2k4p is pending', 'pod agent-zz4tk is pending');
  same('dial tcp 10.0.0.1:443: refused', 'dial tcp 192.168.17.4:6443: refused');
  same('3 of 5 ready', '0 of 5 ready');
  same('uid 0b1f7c1e-8a3f-4c52-9a47-b6f8a3b1c001', 'uid 5f2b6c1e-8a3f-4c52-9a47-b6f8a3b1c0ff');
  for (const [a, b] of [
    ['Deployment web: failed', 'Deployment api: failed'],
    ['ImagePullBackOff', 'ErrImagePull'],
    ['image registry/app-stable: not found', 'image registry/app-canary: not found'],
  ])
    assert.is.not(normalizedMessage(a!), normalizedMessage(b!));
});

problems('keep the message that most placements have, and the earliest time', () => {
  const row = (message: string, placements: number, since: number): ProblemRow => ({
    stackId: 's',
    stack: 'ci/web',
    deploymentId: 'd',
    revision: 1,
    deploymentMessage: '',
    createdBy: 'admin',
    createdAt: new Date(0),
    phase: 'failed',
    health: null,
    message,
    placements,
    stackPlacements: 9,
    agents: [`agent of ${message}`],
    since: new Date(since),
    severity: 4,
  });
  const [group, ...others] = groupByCause([row('2 of 3', 5, 20), row('1 of 3', 3, 10)]);
  assert.equal(others, []);
  assert.equal(
    [group!.message, group!.placements, group!.since, group!.agents],
    ['2 of 3', 8, new Date(10), ['agent of 1 of 3', 'agent of 2 of 3']],
  );
});

problems.run();
