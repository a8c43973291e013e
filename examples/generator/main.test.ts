import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { reportHealth } from '../../test/agent-health.ts';
import { startTestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { runProgram } from '../../test/tools/command.ts';
import { render } from './render.ts';

const generator = suite('examples: a generator');
const broker = await startTestBroker();
const { admin } = broker.client();
const { pak } = await admin.createGenerator({ name: 'ci' });
const agent = await startTestAgent(broker, { name: 'edge', labels: ['demo'], generators: ['ci'] });
const ci = broker.client(pak);

generator.after(() => broker.close());

const run = (env: Record<string, string>) =>
  runProgram('examples/generator/main.ts', [], { env: { BROKKR_SERVER: broker.url, BROKKR_PAK: pak, ...env } });

/** Waits until the agent's target state has another deployment than before, and returns the entry. */
async function newEntry(previousId = '') {
  return eventually(async () => {
    const entry = await agent.entry('shop');
    return entry.deploymentId !== '' && entry.deploymentId !== previousId && entry;
  }, 30_000);
}

generator('renders the same bytes from the same commit', () => {
  assert.equal(render({ commit: 'abc', pages: ['a'] }), render({ commit: 'abc', pages: ['a'] }));
});

generator('creates its stack, submits, and waits until it is healthy', async () => {
  const running = run({ GITHUB_SHA: 'abc123' });
  await newEntry();
  await agent.reconcile();
  await reportHealth(agent, Health.HEALTHY);
  const { code, stdout, stderr } = await running;
  assert.is(code, 0, stderr);
  assert.is(stdout, 'revision 1 of shop is new and healthy on: edge\n');
  const { deployment, manifest } = await ci.broker.getDeployment({ stack: 'shop' });
  assert.is(deployment?.message, 'commit abc123');
  assert.match(Buffer.from(manifest).toString(), '"commit":"abc123"');
});

generator('does nothing for a commit that is already deployed', async () => {
  const { code, stdout } = await run({ GITHUB_SHA: 'abc123' });
  assert.is(code, 0);
  assert.is(stdout, 'revision 1 of shop was already there and healthy on: edge\n');
});

generator("exits with 1 and the agent's message when it cannot be applied", async () => {
  const { deploymentId } = await agent.entry('shop');
  const running = run({ GITHUB_SHA: 'broken' });
  await agent.report(await newEntry(deploymentId), Outcome.FAILED, 'quota exceeded');
  const { code, stderr } = await running;
  assert.is(code, 1);
  assert.match(stderr, 'agent edge: quota exceeded');
});

generator("exits with 1 and the agent's message when it is unhealthy there", async () => {
  const { deploymentId } = await agent.entry('shop');
  const running = run({ GITHUB_SHA: 'sick' });
  await newEntry(deploymentId);
  await agent.reconcile();
  await reportHealth(agent, Health.FAILED, 'pod shop-x: its image is no image');
  const { code, stderr } = await running;
  assert.is(code, 1);
  assert.match(stderr, 'agent edge: pod shop-x: its image is no image');
});

generator('exits with 1 when the key is not allowed to, or at its timeout', async () => {
  const refused = await run({ BROKKR_PAK: agent.pak });
  assert.is(refused.code, 1);
  assert.match(refused.stderr, 'PermissionDenied');
  const late = await run({ GITHUB_SHA: 'slow', TIMEOUT_SECONDS: '2' });
  assert.is(late.code, 1);
  assert.is((await run({ BROKKR_SERVER: '' })).code, 1);
});

generator.run();
