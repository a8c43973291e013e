import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import type { Diagnostic } from '../../../gen/brokkr/v1/diagnostic_pb.ts';
import { Health } from '../../../gen/brokkr/v1/health_pb.ts';
import { createTestAgent, type TestAgent } from '../../../test/agents.ts';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { testCli } from '../../../test/cli.ts';

const diagnose = suite('cli: diagnose');
const broker = await startTestBroker();
const cli = testCli(broker);

diagnose.after(async () => {
  cli.close();
  await broker.close();
});

let nameCount = 0;
const freshName = () => `d${++nameCount}`;
const objects = ['shop', 'lab']
  .map((namespace) => `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"${namespace}"}}`)
  .join('\n---\n');
const web = '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}';

async function makePlaced() {
  const name = freshName();
  const agent = await createTestAgent(broker, { name, labels: [name] });
  await cli.done(`apply -f - --stack ${name} --label ${name}`, { stdin: `${objects}\n---\n${web}` });
  return { name, agent };
}

/** Claims the agent's next diagnostic. */
async function take({ client, incarnation }: TestAgent): Promise<Diagnostic> {
  return eventually(async () => (await client.agent.claimDiagnostic({ incarnation })).diagnostic, 30_000);
}

async function complete(agent: TestAgent, answer: { id: string; report?: typeof report; message?: string }) {
  await agent.client.agent.completeDiagnostic({ incarnation: agent.incarnation, ...answer });
}

const ref = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'web' };
const report = {
  objects: [
    {
      object: ref,
      health: Health.DEGRADED,
      message: '0 of 1 replicas ready',
      yaml: 'kind: Deployment\nspec:\n  replicas: 1\n',
      rollout: ['2: web-7d9c (0 of 1 ready)', '1: web-5f6b'],
    },
  ],
  pods: [
    {
      namespace: 'shop',
      name: 'web-7d9c-x',
      phase: 'Running',
      node: 'n1',
      message: '',
      containers: [
        {
          name: 'app',
          state: 'waiting: CrashLoopBackOff: back-off 10s',
          restarts: 3,
          ready: false,
          logLines: ['starting', '  \u001b[31mno such\tfile\u001b[0m'],
        },
      ],
    },
  ],
  events: [{ object: ref, type: 'Warning', reason: 'BackOff', message: 'restarting\nfailed container', count: 7 }],
  notes: ['Endpoints could not be read'],
};

diagnose('requests a diagnostic, waits, and shows the result', async () => {
  const { name, agent } = await makePlaced();
  const pending = cli.done(`diagnose ${name} ${name}`);
  await agent.start();
  const { id, object } = await take(agent);
  assert.is(object, undefined);
  await complete(agent, { id, report });
  const output = await pending;
  assert.match(output, new RegExp(`^stack system/${name} on agent ${name}, .* ago\\)\\n`));
  assert.match(
    output,
    /Objects\n {2}Deployment\.apps shop\/web {2}degraded: 0 of 1 replicas ready\n {4}revision 2: web-7d9c/,
  );
  assert.match(output, /Pods\n {2}shop\/web-7d9c-x {2}Running on n1\n/);
  assert.match(
    output,
    / {4}app {2}waiting: CrashLoopBackOff: back-off 10s, 3 restarts\n {6}\| starting\n {6}\| {3}no such {4}file\n/,
  );
  assert.match(
    output,
    /Kubernetes events\n.*\n {2}- +Warning +BackOff +Deployment\.apps shop\/web +7 +restarting failed container\n/,
  );
  assert.match(output, /Notes\n {2}Endpoints could not be read\n$/);
  assert.not.match(output, 'replicas: 1');
});

diagnose('requests one object, and prints the complete result for programs', async () => {
  const { name, agent } = await makePlaced();
  const pending = cli.done(`diagnose ${name} ${name} --object deployment/web -o yaml`);
  const shown = cli.done(`diagnose ${name} ${name} --object apps/Deployment/shop/web --yaml`);
  await agent.start();
  for (let questions = 0; questions < 2; questions += 1) {
    const { id, object } = await take(agent);
    assert.equal([object?.kind, object?.name, object?.namespace], ['Deployment', 'web', 'shop']);
    await complete(agent, { id, report });
  }
  const answer = parse(await pending);
  assert.equal([answer.state, answer.report.pods[0].containers[0].restarts], ['DIAGNOSTIC_STATE_DONE', 3]);
  assert.match(await shown, /\nDeployment\.apps shop\/web\n {2}kind: Deployment\n {2}spec:\n {4}replicas: 1\n$/);
});

diagnose('rejects an unknown or ambiguous object', async () => {
  const { name } = await makePlaced();
  assert.match(await cli.fails(1, `diagnose ${name} ${name} --object Secret/a`), 'its objects: ');
  const several = await cli.fails(2, `diagnose ${name} ${name} --object configmap/a`);
  assert.match(several, /configmap\/a matches several objects: ConfigMap\/(shop|lab)\/a, ConfigMap\//);
  await cli.fails(1, `diagnose ${name} nobody`);
  const other = await makePlaced();
  assert.match(await cli.fails(1, `diagnose ${name} ${other.name}`), 'brokkr explain STACK AGENT');
  await cli.fails(1, `diagnose nowhere ${name}`);
  await cli.fails(2, `diagnose ${name}`);
});

diagnose("fails with the agent's message when it could not collect diagnostics", async () => {
  const { name, agent } = await makePlaced();
  const pending = cli.fails(1, `diagnose ${name} ${name}`);
  await agent.start();
  const { id } = await take(agent);
  await complete(agent, { id, message: 'the cluster does not answer' });
  assert.match(await pending, `agent ${name} could not collect diagnostics: the cluster does not answer`);
});

diagnose('explains at the timeout why there is no answer', async () => {
  const { name, agent } = await makePlaced();
  const never = await cli.fails(1, `diagnose ${name} ${name} --timeout 1s`);
  assert.match(never, `no answer within 1s: agent ${name} is offline (it has never started)`);
  await agent.start();
  assert.match(await cli.fails(1, `diagnose ${name} ${name} --timeout 1s`), 'has not picked up the request yet');
  const { incarnation } = agent;
  while ((await agent.client.agent.claimDiagnostic({ incarnation })).diagnostic) await pause(10);
  const pending = cli.fails(1, `diagnose ${name} ${name} --timeout 5s`);
  await take(agent);
  assert.match(await pending, 'is still collecting');
});

diagnose('asks several agents of a stack at once', async () => {
  const { name, agent } = await makePlaced();
  const second = await createTestAgent(broker, { name: `${name}-2`, labels: [name] });
  await createTestAgent(broker, { name: `${name}-other` });
  const answers = [agent, second].map(async (one) => {
    await one.start();
    const { id } = await take(one);
    await complete(one, { id, report });
  });
  const listed = JSON.parse(await cli.done(`diagnose ${name} --all -o json`)) as { diagnostics: { agent: string }[] };
  await Promise.all(answers);
  assert.equal(
    listed.diagnostics.map(({ agent: of }) => of),
    [name, `${name}-2`],
  );
});

diagnose.run();
