import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';

const apply = suite('cli: apply');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();

apply.after(async () => {
  cli.close();
  await broker.close();
});

let nameCount = 0;
/** Each test uses its own names; an agent's label is its name. */
const freshName = () => `t${++nameCount}`;

const makeAgent = (name: string, labels = [name]) => startTestAgent(broker, { name, labels });

const config = (name: string, value = 'one') =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  value: ${value}\n`;

function write(name: string, text: string): string {
  const file = join(cli.folder, name);
  writeFileSync(file, text);
  return file;
}

apply('creates the stack if it does not exist, and submits only changes', async () => {
  const stack = freshName();
  const file = write('once.yaml', `${config('a')}---\n${config('b')}`);
  const args = `apply -f ${file} --stack ${stack} --label blue --annotation tier=web`;
  const first = await cli.done(args);
  assert.not.match(first, 'updated', 'it was just created');
  assert.match(first, /^stack system\/t\d+ created\nrevision 1 submitted: 2 objects, 2 changes\n {2}\+ ConfigMap a\n/);
  assert.match(await cli.done(args), /^revision 1 is already current\n/);
  const { stack: now } = await client.broker.getStack({ stack });
  assert.equal([now?.revision, now?.labels, now?.annotations], [1, ['blue'], { tier: 'web' }]);
  const later = await cli.done(['apply', '-f', '-', '--stack', stack], { stdin: config('a', 'two') });
  assert.match(
    later,
    /revision 2 submitted: 1 object, 2 changes\n {2}~ ConfigMap a {2}\.data\.value\n {2}- ConfigMap b\n/,
  );
});

apply('adds labels, annotations and targets to an existing stack, and replaces its selector', async () => {
  const [stack, agent] = [freshName(), freshName()];
  await makeAgent(agent);
  const file = write('more.yaml', config('a'));
  await cli.done(`apply -f ${file} --stack ${stack} --label one`);
  const selector = ['--selector', `zone in (a,b),!${agent}`];
  const args = ['apply', '-f', file, '--stack', stack, '--label', 'two', '--target', agent, ...selector];
  assert.match(
    await cli.done(args),
    /^revision 1 is already current\nstack system\/t\d+ updated\nagents: 1 pending\n$/,
  );
  const { stack: now } = await client.broker.getStack({ stack });
  assert.equal([now?.labels, now?.targets, now?.selector?.matchExpressions.length], [['one', 'two'], [agent], 2]);
});

apply('shows with --dry-run what would change and where, and changes nothing', async () => {
  const name = freshName();
  await makeAgent(name);
  await cli.done(`apply -f ${write('dry.yaml', config('a'))} --stack ${name} --label ${name}`);
  const output = await cli.done(`apply -f - --stack ${name} --dry-run`, { stdin: config('b') });
  assert.is(output, `would be submitted: 2 changes\n  + ConfigMap b\n  - ConfigMap a\nserved by 1 agent (${name})\n`);
  assert.is((await client.broker.getStack({ stack: name })).stack?.revision, 1);
});

apply('shows with --dry-run that everything would be new without a stack', async () => {
  const stack = freshName();
  const args = `apply -f - --stack ${stack} --dry-run`;
  const { code, stdout, stderr } = await cli.run(args, { stdin: `${config('a')}---\n${config('b')}` });
  assert.is(code, 0, stderr);
  assert.is(
    stdout,
    `stack ${stack} would be created\nwould be submitted: 2 changes\n  + ConfigMap a\n  + ConfigMap b\n`,
  );
  assert.match(stderr, 'the stack does not exist yet');
  const { changes } = JSON.parse(await cli.done(`${args} -o json`, { stdin: config('a') })) as { changes: unknown[] };
  assert.is(changes.length, 1);
  assert.match(await cli.fails(1, `get stack ${stack}`), 'not found');
});

apply('warns about a stack without placement rules', async () => {
  const stack = freshName();
  const { stderr } = await cli.run(`apply -f - --stack ${stack}`, { stdin: config('a') });
  assert.is(
    stderr,
    `warning: stack system/${stack} is not placed on any agent yet: add --label, --target or --selector\n`,
  );
  assert.is((await cli.run(`apply -f - --stack ${stack} --label ${stack}`, { stdin: config('a') })).stderr, '');
});

apply('reports the fields that were left out of an exported object', async () => {
  const stack = freshName();
  const stdin = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: "1", resourceVersion: "2"}\n';
  const { stderr } = await cli.run(`apply -f - --stack ${stack} --label ${stack}`, { stdin });
  const left = 'metadata.uid, metadata.resourceVersion left out: only a live object has that';
  assert.is(stderr, `warning: ConfigMap "a": ${left}\n`);
});

apply('shows the first of many changes, and all with -o wide', async () => {
  const [stack, one] = [freshName(), config('x')];
  const stdin = Array.from({ length: 60 }, (_, at) => config(`c${at}`)).join('---\n');
  const few = await cli.done(`apply -f - --stack ${stack} --label ${stack}`, { stdin });
  assert.is(few.match(/^ {2}\+ /gm)?.length, 50);
  assert.match(few, '\n  and 10 more: -o wide shows all\n');
  const all = await cli.done(`apply -f - --stack ${stack} -o wide`, { stdin: one });
  assert.is(all.match(/^ {2}[-+] /gm)?.length, 61);
  const tooMuch = await cli.fails(2, `apply -f - --stack ${stack}`, { stdin: `#${'x'.repeat(32 << 20)}` });
  assert.match(tooMuch, 'exceed 32 MiB');
});

apply('shows with diff which lines would change and where, and changes nothing', async () => {
  const name = freshName();
  await makeAgent(name);
  const secret = (value: string) =>
    `apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  password: ${value}\n`;
  await cli.done(`apply -f - --stack ${name} --label ${name}`, { stdin: `${config('a')}---\n${secret('hunter2')}` });
  const list = `apiVersion: v1\nkind: List\nitems:\n  - ${config('a', 'two').trimEnd().replaceAll('\n', '\n    ')}\n`;
  const output = await cli.done(`diff -f - --stack ${name}`, { stdin: `${list}---\n${secret('swordfish')}` });
  assert.match(output, /^--- ConfigMap a \(current\)\n\+\+\+ ConfigMap a \(new\)\n@@ .*\n/);
  assert.match(output, /\n- {2}value: one\n\+ {2}value: two\n/);
  const words = await cli.done(`diff -f - --stack ${name}`, { stdin: config('a', '"no"') });
  assert.match(words, '\n+  value: "no"\n', 'as Kubernetes reads it');
  assert.match(output, /\n- {2}password: \(hidden, \w+\)\n\+ {2}password: \(hidden, \w+\)\n/);
  assert.not.match(output, /hunter2|swordfish/);
  assert.match(output, `\nserved by 1 agent (${name})\n`);
  assert.is((await client.broker.getStack({ stack: name })).stack?.revision, 1);
  const same = `${config('a')}---\n${secret('hunter2')}`;
  assert.is(await cli.done(`diff -f - --stack ${name} --exit-code`, { stdin: same }), 'nothing would change\n');
  const failure = await cli.fails(1, `diff -f - --stack ${name} --exit-code`, { stdin: config('b') });
  assert.match(failure, `3 objects of stack ${name} would change`);
  assert.match(await cli.fails(1, `diff -f - --stack ${freshName()}`, { stdin: config('b') }), 'does not exist');
});

apply('names file, line and document of each problem, and leaves no stack behind', async () => {
  const folder = join(cli.folder, 'mixed');
  mkdirSync(folder);
  writeFileSync(join(folder, 'a.yaml'), config('a'));
  writeFileSync(join(folder, 'b.yml'), `---\n${config('b')}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {}\n`);
  writeFileSync(join(folder, 'c.json'), '{"apiVersion": "v1",\n "metadata": {"name": "c"}}\n');
  writeFileSync(join(folder, 'README.md'), 'not: [an object\n');
  const stack = freshName();
  const output = await cli.fails(1, `apply -f ${folder} --stack ${stack}`);
  assert.match(output, /\/mixed\/b\.yml:11 \(document 2\): metadata\.name/);
  assert.match(output, /\/mixed\/c\.json:\d \(document 1\): kind/);
  assert.match(await cli.fails(1, `get stack ${stack}`), 'not found');
  const single = await cli.fails(1, `apply -f - --stack ${stack}`, { stdin: 'a: b: c' });
  assert.match(single, /^error: stdin:1 \(document 1\): /);
});

apply('rejects an invalid call before it calls the broker', async () => {
  const file = write('call.yaml', config('a'));
  await cli.fails(2, 'apply --stack x');
  await cli.fails(2, `apply -f ${file}`);
  await cli.fails(2, 'apply -f /nowhere.yaml --stack x');
  await cli.fails(2, `apply -f ${file} --stack x --annotation novalue`);
  await cli.fails(2, `apply -f ${file} --stack x --timeout soon`);
  await cli.fails(2, `apply -f ${file} --stack x --dry-run --wait`);
  await cli.fails(2, ['apply', '-f', file, '--stack', 'x', '--selector', 'a = = b']);
  assert.match(
    await cli.fails(1, `apply -f - --stack ${freshName()}`, { stdin: '# nothing\n' }),
    /^error: (?!.*allow_empty).*\n.*--allow-empty/,
  );
});

const submittedEntry = (agent: TestAgent, stack: string) =>
  eventually(async () => [await agent.entry(stack)].find(({ deploymentId }) => deploymentId !== ''), 30_000);

apply('waits until every agent has applied it', async () => {
  const stack = freshName();
  const agents = await Promise.all([makeAgent(`${stack}a`, [stack]), makeAgent(`${stack}b`, [stack])]);
  const file = write('wait.yaml', config('a'));
  const waiting = cli.run(`apply -f ${file} --stack ${stack} --label ${stack} --wait=applied`);
  for (const agent of agents) await eventually(async () => (await agent.reconcile()) === 1, 30_000);
  const { code, stdout, stderr } = await waiting;
  assert.is(code, 0, stderr);
  assert.match(stdout, /revision 1 is applied\n$/);
  assert.match(stderr, '2 of 2 agents applied');
  assert.match(
    await cli.done(`apply -f ${file} --stack ${stack} --wait=applied`),
    /already current\nrevision 1 is applied\n$/,
  );
});

apply('prints what agents say of what they have applied, the same text once', async () => {
  const stack = freshName();
  const agents = await Promise.all([makeAgent(`${stack}a`, [stack]), makeAgent(`${stack}b`, [stack])]);
  const waiting = cli.run(`apply -f - --stack ${stack} --label ${stack} --wait=applied`, { stdin: config('a') });
  const warning = 'warning: Endpoints shop/a is deprecated';
  for (const agent of agents) await agent.report(await submittedEntry(agent, stack), Outcome.APPLIED, warning);
  const { code, stderr } = await waiting;
  assert.is(code, 0, stderr);
  assert.is(stderr.split('\n').filter((line) => line.endsWith(` and 1 more: ${warning}`)).length, 1);
});

apply("fails with the agent's message when it cannot apply", async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  const waiting = cli.run(`apply -f - --stack ${name} --label ${name} --wait`, { stdin: config('a') });
  await agent.report(await submittedEntry(agent, name), Outcome.FAILED, 'namespace \u001b[31m"shop" not found');
  const { code, stderr } = await waiting;
  assert.is(code, 1);
  assert.match(stderr, `error: agent ${name}: namespace "shop" not found\n`);
  assert.match(stderr, `brokkr explain system/${name} ${name}`);
});

apply('stops waiting at the timeout, and names the agents it waited for', async () => {
  const name = freshName();
  await makeAgent(name);
  const args = `apply -f - --stack ${name} --label ${name} --wait --timeout 1s`;
  const output = await cli.fails(1, args, { stdin: config('a') });
  assert.match(output, `not healthy within 1s: 0 of 1 agent healthy, waiting for ${name}`);
});

apply('does not wait without an agent', async () => {
  const output = await cli.fails(1, `apply -f - --stack ${freshName()} --wait`, { stdin: config('a') });
  assert.match(output, 'no agent serves stack');
});

apply('stops waiting when another revision supersedes it', async () => {
  const name = freshName();
  await makeAgent(name);
  const waiting = cli.run(`apply -f - --stack ${name} --label ${name} --wait`, { stdin: config('a') });
  await eventually(async () => (await client.broker.listPlacements({ stack: name })).placements.length === 1, 30_000);
  await client.broker.submitDeployment({ stack: name, manifest: Buffer.from(config('a', 'newer')) });
  const { code, stderr } = await waiting;
  assert.is(code, 1);
  assert.match(stderr, /revision 1 of stack .* was superseded by revision 2/);
});

apply('rolls back to an earlier revision', async () => {
  const stack = freshName();
  for (const value of ['one', 'two'])
    await cli.done(`apply -f - --stack ${stack} --message ${value}`, { stdin: config('a', value) });
  assert.match(await cli.done(`rollback ${stack}`), /revision 3 with the objects of revision 1 is current/);
  assert.match(await cli.done(`rollback ${stack} --revision 1`), /revision 3 is already current/);
  assert.is(await cli.done(`rollback ${stack} --revision 2 -o name`), `system/${stack}@4\n`);
  const missing = await cli.fails(1, `rollback ${stack} --revision 9`);
  assert.match(missing, 'revision 9 not found: revisions are 1 to 4');
  await cli.fails(2, `rollback ${stack} --revision nine`);
  const names = await cli.done(`get deployments --stack ${stack} -o name`);
  assert.is(names, [4, 3, 2, 1].map((revision) => `system/${stack}@${revision}\n`).join(''));
  assert.match(
    await cli.done(`describe deployment ${stack}@3`),
    /Rollback of: +revision 1\n[\s\S]*Objects\n {2}ConfigMap a\n/,
  );
  assert.is(await cli.done(`describe deployment ${stack}@1 --manifest`), config('a', 'one'));
});

apply('shows the objects of a deployment only with --manifest', async () => {
  const stack = freshName();
  await cli.done(`apply -f - --stack ${stack}`, { stdin: config('a', 'precious') });
  assert.is(JSON.parse(await cli.done(`describe deployment ${stack} -o json`)).manifest, '');
  const [line] = (await cli.done(`describe deployment ${stack} --manifest -o json`)).split('\n');
  assert.is(JSON.parse(line!).data.value, 'precious');
});

apply('puts objects without a namespace into that of -n, and keeps it until another is given', async () => {
  const stack = freshName();
  const args = `apply -f - --stack ${stack}`;
  const dry = await cli.run(`${args} -n argocd --dry-run`, { stdin: config('a') });
  assert.match(dry.stdout, '+ ConfigMap argocd/a', 'also for a stack that does not exist yet');
  assert.match(await cli.done(`${args} --namespace argocd`, { stdin: config('a') }), '+ ConfigMap argocd/a');
  assert.match(await cli.done(args, { stdin: config('a') }), 'revision 1 is already current');
  assert.match(await cli.done(`describe deployment ${stack}`), /Namespace: +argocd\n[\s\S]*ConfigMap argocd\/a\n/);
  const diff = await cli.done(`diff -f - --stack ${stack}`, { stdin: config('a', 'two') });
  assert.match(diff, /- {2}value: one\n\+ {2}value: two\n/);
  assert.not.match(diff, /^[-+] .*namespace/m);
  assert.match(
    await cli.done(`diff -f - --stack ${stack} -n other`, { stdin: config('a') }),
    /\+\+\+ ConfigMap other\/a[\s\S]*\+ {2}namespace: other[\s\S]*- {2}namespace: argocd/,
  );
  const moved = await cli.done(`${args} --no-namespace`, { stdin: config('a') });
  assert.match(moved, /\+ ConfigMap a\n {2}- ConfigMap argocd\/a\n/);
  assert.match(await cli.fails(1, `${args} -n Wrong`, { stdin: config('a') }), 'namespace');
});

apply('prints the messages of the API for programs', async () => {
  const stack = freshName();
  const answer = JSON.parse(await cli.done(`apply -f - --stack ${stack} -o json`, { stdin: config('a') }));
  assert.equal(
    [answer.deployment.revision, answer.unchanged, answer.changes[0].action],
    [1, false, 'OBJECT_ACTION_CREATED'],
  );
  assert.is(await cli.done(`apply -f - --stack ${stack} -o name`, { stdin: config('a') }), `system/${stack}@1\n`);
});

apply.run();
