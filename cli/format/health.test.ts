import type { MessageInitShape } from '@bufbuild/protobuf';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health, type ObjectHealthSchema } from '../../gen/brokkr/v1/health_pb.ts';
import { reportHealth } from '../../test/agent-health.ts';
import { startTestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { waitForOutput } from '../../test/tools/command.ts';

const health = suite('cli: health');
const broker = await startTestBroker();
const cli = testCli(broker);

health.after(async () => {
  cli.close();
  await broker.close();
});

let nameCount = 0;
const freshName = () => `h${++nameCount}`;
const config = (value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  value: ${JSON.stringify(value)}\n`;
const pods = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'web' };
const unhealthyObject: MessageInitShape<typeof ObjectHealthSchema> = {
  object: pods,
  health: Health.DEGRADED,
  message: '1 of 3 \u001b[31mreplicas ready',
};

async function makeAgent(name: string, label = name) {
  const agent = await startTestAgent(broker, { name, labels: [label] });
  return {
    ...agent,
    reportHealth: (state: Health, ...details: [message?: string, objects?: (typeof unhealthyObject)[]]) =>
      reportHealth(agent, state, ...details),
  };
}

/** Creates two agents that have applied a stack: one healthy, the other degraded. */
async function makeUnhealthyStack() {
  const stack = freshName();
  const [healthy, degraded] = await Promise.all([makeAgent(`${stack}-a`, stack), makeAgent(`${stack}-b`, stack)]);
  await cli.done(`apply -f - --stack ${stack} --label ${stack}`, { stdin: config('one') });
  for (const agent of [healthy, degraded]) await agent.reconcile();
  await healthy.reportHealth(Health.HEALTHY);
  await degraded.reportHealth(Health.DEGRADED, 'pod web-x: ImagePullBackOff', [unhealthyObject]);
  return { stack, healthy, degraded };
}

health('shows the health of a stack on each agent, worst first, and its history', async () => {
  const { stack, degraded } = await makeUnhealthyStack();
  const [heading, first, second] = (await cli.done(`get health ${stack}`)).split('\n');
  assert.match(heading!, /^AGENT +HEALTH +HEALTHY +REVISION +SINCE +MESSAGE$/);
  assert.match(first!, /-b +degraded +2 of 3 +1 +\d+s +pod web-x: ImagePullBackOff$/);
  assert.match(second!, /-a +healthy +3 of 3 +1 +\d+s +-$/);
  const wide = await cli.done(`get health ${stack} -o wide`);
  assert.match(wide, /Not healthy\n {2}\S+-b\n {4}Deployment\.apps shop\/web: degraded: 1 of 3 replicas ready\n$/);
  assert.is(await cli.done(`get health ${stack} ${stack}-a -o name`), `${stack}-a\n`);
  const answer = JSON.parse(await cli.done(`get health ${stack} -o json`));
  assert.equal([answer.health, answer.counts.degraded, answer.agents.length], ['HEALTH_DEGRADED', 1, 2]);
  await degraded.reportHealth(Health.HEALTHY);
  const history = await cli.done(`get health ${stack} --agent ${stack}-b --history`);
  assert.match(
    history,
    /^AGE +AGENT +HEALTH +MESSAGE\n.*-b +healthy +-\n.*-b +degraded +pod web-x: ImagePullBackOff\n$/,
  );
  await cli.fails(1, 'get health nowhere');
  await cli.fails(2, 'get health');
});

health('is shown with stacks, placements and explanations', async () => {
  const { stack } = await makeUnhealthyStack();
  assert.match(await cli.done(`get stack ${stack}`), / 1 degraded, 1 healthy /);
  const placements = await cli.done(`get placements --stack ${stack}`);
  assert.match(placements, /-a +applied +1 +1 +healthy .* -\n/);
  assert.match(placements, /-b +applied +1 +1 +degraded .* pod web-x: ImagePullBackOff\n/);
  const described = await cli.done(`describe stack ${stack}`);
  assert.match(described, /Health: +1 degraded, 1 healthy\n/);
  assert.match(described, /Not healthy\n {2}\S+-b\n {4}Deployment\.apps shop\/web: degraded: 1 of 3 replicas ready\n/);
  assert.match(described, /Latest health changes\n {2}AGE +AGENT +HEALTH +MESSAGE\n/);
  const explained = await cli.done(`explain ${stack} ${stack}-b`);
  assert.match(explained, '✗ healthy: degraded: pod web-x: ImagePullBackOff\n');
  assert.match(explained, 'Not healthy\n  Deployment.apps shop/web: degraded: 1 of 3 replicas ready\n');
});

health('is shown by a watch of a stack', async () => {
  const { stack, degraded } = await makeUnhealthyStack();
  const watching = new AbortController();
  const [begun, ended] = [waitForOutput('ImagePullBackOff'), waitForOutput('Job migrate failed')];
  const onOutput = (text: string) => [begun, ended].forEach((hearing) => void hearing.onOutput(text));
  const seen = cli.run(`watch ${stack}`, { onOutput, signal: watching.signal });
  await Promise.race([begun.found, seen]);
  await degraded.reportHealth(Health.FAILED, 'Job migrate failed');
  await Promise.race([ended.found, seen]);
  watching.abort();
  const { stdout } = await seen;
  assert.match(stdout, /is at revision 1; agents: 2 applied; health: 1 degraded, 1 healthy\n/);
  assert.match(stdout, /-b {2}applied {2}degraded {2}revision 1: pod web-x: ImagePullBackOff\n/);
  assert.match(stdout, /-b {2}applied {2}failed {2}revision 1: Job migrate failed\n/);
});

health('is awaited by an apply, which shows what it waits for', async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  const { onOutput, found } = waitForOutput('progressing');
  const waiting = cli.run(`apply -f - --stack ${name} --label ${name} --wait`, { stdin: config('one'), onOutput });
  await eventually(async () => (await agent.reconcile()) === 1, 30_000);
  await agent.reportHealth(Health.PROGRESSING, '1 of 3 replicas ready', [unhealthyObject]);
  await Promise.race([found, waiting]);
  await agent.reportHealth(Health.HEALTHY);
  const { code, stdout, stderr } = await waiting;
  assert.is(code, 0, stderr);
  assert.match(stdout, /revision 1 is healthy\n$/);
  assert.match(stderr, `0 of 1 agent healthy (1 applied), waiting for ${name} (progressing: 1 of 3 replicas ready)\n`);
  assert.match(stderr, /1 of 1 agent healthy\n$/);
});

health('ends the wait early when an agent failed', async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  const waiting = cli.run(`apply -f - --stack ${name} --label ${name} --wait`, { stdin: config('one') });
  await eventually(async () => (await agent.reconcile()) === 1, 30_000);
  await agent.reportHealth(Health.FAILED, 'pod web-x: its image is no image', [
    { ...unhealthyObject, health: Health.FAILED },
  ]);
  const { code, stderr } = await waiting;
  assert.is(code, 1);
  const objects = '  Deployment.apps shop/web: failed: 1 of 3 replicas ready\n';
  assert.match(stderr, `error: agent ${name}: pod web-x: its image is no image\n${objects}`);
  assert.match(stderr, `brokkr diagnose system/${name} ${name}\n`);
});

health('is explained at the timeout of the wait', async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  await cli.done(`apply -f - --stack ${name} --label ${name}`, { stdin: config('one') });
  await agent.report(await agent.entry(name), Outcome.WAITING, 'waits for stack db, which is not healthy');
  const args = [`apply`, '-f', '-', '--stack', name, '--wait', '--timeout', '1s'];
  const waiting = await cli.fails(1, args, { stdin: config('one') });
  const summary = `not healthy within 1s: 0 of 1 agent healthy, waiting for ${name}`;
  assert.match(
    waiting,
    `${summary} (waits for stack db, which is not healthy)\n  for details: brokkr explain system/${name} ${name}\n`,
  );
  await agent.reconcile();
  assert.match(await cli.fails(1, args, { stdin: config('one') }), `waiting for ${name} (no health reported yet)`);
  await agent.reportHealth(Health.DEGRADED, 'one replica is missing', [unhealthyObject]);
  const late = await cli.fails(1, args, { stdin: config('one') });
  assert.match(
    late,
    '(degraded: one replica is missing)\n  Deployment.apps shop/web: degraded: 1 of 3 replicas ready\n',
  );
  assert.match(late, 'for details: brokkr diagnose');
});

health('is not awaited with --wait=applied', async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  await cli.done(`apply -f - --stack ${name} --label ${name}`, { stdin: config('one') });
  await agent.reconcile();
  const done = await cli.done(`apply -f - --stack ${name} --wait=applied`, { stdin: config('one') });
  assert.match(done, /revision 1 is applied\n$/);
  await cli.fails(2, 'rollback --wait somewhere');
});

health.run();
