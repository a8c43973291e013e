import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { Outcome } from '../../../gen/brokkr/v1/event_pb.ts';
import { startTestAgent } from '../../../test/agents.ts';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { testCli } from '../../../test/cli.ts';

const stacks = suite('cli: stacks');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();

stacks.after(async () => {
  cli.close();
  await broker.close();
});

let nameCount = 0;
const freshName = () => `s${++nameCount}`;
const configMap = Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}');

const makeAgent = (name: string) => startTestAgent(broker, { name, labels: [name] });

stacks('creates a stack with all placement rules', async () => {
  const name = freshName();
  const selector = ['--selector', 'zone notin (a,b),gpu'];
  const options = ['--label', 'x', '--annotation', 'k=v=w', '--on-delete', 'orphan', ...selector];
  assert.is(await cli.done(['create', 'stack', name, ...options]), `stack system/${name} created\n`);
  const described = await cli.done(`describe stack ${name}`);
  assert.match(described, /Labels: +x\nAnnotations: +k=v=w\nSelector: +zone notin \(a,b\),gpu\nOn delete: +orphan\n/);
  assert.match(
    await cli.fails(1, `create stack ${name}`),
    /exists\n {2}choose another name, or change the existing one/,
  );
  const wrong = await cli.fails(1, ['create', 'stack', 'Not a name', '--label', 'a b']);
  assert.match(wrong, 'name: must consist of lowercase letters, digits and hyphens');
  assert.match(wrong, 'labels[0]: must consist of letters, digits');
  await cli.fails(2, `create stack ${freshName()} --on-delete explode`);
});

stacks('gets stacks by name, by label and as a list, in each format', async () => {
  const [name, other] = [freshName(), freshName()];
  await cli.done(`create stack ${name} --label only-here`);
  await cli.done(`create stack ${other}`);
  assert.is(await cli.done('get stacks --label only-here -o name'), `system/${name}\n`);
  assert.match(await cli.done(`get stack ${name}`), /^NAME +REVISION +AGENTS +HEALTH +LABELS +AGE +STATUS\nsystem\//);
  const both = JSON.parse(await cli.done(`get stacks ${name} system/${other} -o json`));
  assert.equal([both.stacks[0].name, both.stacks[1].name, both.stacks[0].revision], [name, other, 0]);
  assert.is(parse(await cli.done(`get stacks ${name} -o yaml`)).stacks[0].generator, 'system');
  assert.match(await cli.fails(1, 'get stack nowhere'), 'stack "nowhere" not found');
  assert.match(await cli.done(`get stacks ${name} -o wide`), / DRIFT +DEPENDS ON /);
  await cli.fails(2, 'get stacks -o wider');
  await cli.fails(2, 'get ships');
});

stacks('reads a list through all its pages', async () => {
  const { pak } = await client.admin.createGenerator({ name: 'many' });
  const own = broker.client(pak);
  for (let count = 0; count < 520; count += 1) await own.broker.createStack({ name: `n${count}` });
  assert.is((await cli.done('get stacks --generator many -o name')).trim().split('\n').length, 520);
  assert.equal(JSON.parse(await cli.done('get stacks --generator system --label none -o json')), { stacks: [] });
});

stacks('edits labels and annotations as kubectl does', async () => {
  const name = freshName();
  await cli.done(`create stack ${name} --label old`);
  assert.match(await cli.done(`label stack ${name} new old-`), 'labels new;');
  assert.match(await cli.done(`annotate stack ${name} a=1 b=2`), 'annotations a=1, b=2;');
  assert.match(await cli.done(`annotate stack ${name} a- b=3`), 'annotations b=3;');
  assert.match(await cli.fails(2, `label stack ${name} a=1`), 'brokkr annotate');
  await cli.fails(2, `annotate stack ${name} word`);
  assert.match(await cli.fails(1, ['label', 'stack', name, 'two words']), 'add_labels');
  assert.match(await cli.fails(1, `label stack ${name} x --etag 1`), 'it was changed in the meantime');
});

stacks('changes and removes a selector', async () => {
  const name = freshName();
  await cli.done(`create stack ${name}`);
  await cli.done(`update stack ${name} --selector * --on-delete orphan`);
  assert.match(await cli.done(`describe stack ${name}`), /Selector: +\*\nOn delete: +orphan\n/);
  await cli.done(`update stack ${name} --no-selector`);
  assert.not.match(await cli.done(`describe stack ${name}`), 'Selector');
  await cli.fails(2, `update stack ${name}`);
});

stacks('targets and untargets agents', async () => {
  const name = freshName();
  await makeAgent(name);
  await cli.done(`create stack ${name}`);
  assert.is(await cli.done(`target ${name} ${name}`), `stack ${name} is targeted at agent ${name}\n`);
  assert.is(await cli.done(`get placements --stack ${name} -o name`), `system/${name} ${name}\n`);
  assert.match(
    await cli.done(`explain ${name} ${name}`),
    /✓ target: .*\n {2}○ label: .*\n {2}○ annotation: .*\n {2}○ selector: /,
  );
  assert.is(JSON.parse(await cli.done(`explain ${name} ${name} -o json`)).steps[1].verdict, 'STEP_VERDICT_YES');
  await cli.done(`untarget ${name} ${name}`);
  await cli.fails(1, `untarget ${name} ${name}`);
  await cli.done(`create stack ${name}-no`);
  assert.match(await cli.done(`explain ${name}-no ${name}`), /✗ target: .*\n {2}✗ label: /);
  await cli.fails(1, `target ${name} nobody`);
  await cli.fails(1, `explain ${name} nobody`);
  await cli.fails(2, `target ${name}`);
});

stacks('shows what agents reported', async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  await client.broker.createStack({ name, labels: [name] });
  await client.broker.submitDeployment({ stack: name, manifest: configMap });
  const entry = await agent.entry(name);
  await agent.report(entry, Outcome.FAILED, 'first\nline two');
  await agent.report(entry, Outcome.APPLIED, 'all there');
  const events = await cli.done(`get events --stack ${name}`);
  assert.match(events, /applied +all there\n.*failed +first line two\n$/);
  assert.match(await cli.done(`get events --agent ${name} --outcome failed -o name`), `${name}/1/1\n`);
  const limited = await cli.run(`get events --stack ${name} --limit 1 -o json`);
  assert.is(JSON.parse(limited.stdout).events.length, 1);
  assert.match(limited.stderr, '--limit 0');
  assert.match(await cli.done(`get placements --agent ${name} --phase applied`), /applied +1 +1 .*all there\n$/);
  assert.match(await cli.done(`describe stack ${name}`), /Agents\n[\s\S]*Latest revisions\n[\s\S]*Latest events\n/);
  await cli.fails(2, 'get events --outcome nonsense');
  assert.match(
    await cli.fails(2, 'get events --limit many'),
    "'many' is invalid. it must be a number from 0 to 999999999.",
  );
});

stacks('deletes only after a confirmation', async () => {
  const name = freshName();
  await cli.done(`create stack ${name}`);
  await client.broker.submitDeployment({ stack: name, manifest: configMap });
  const pending = await cli.fails(2, `delete stack ${name}`);
  assert.match(pending, `Delete stack system/${name} (1 object; agents: none)?\n`);
  assert.match(pending, 'add --yes');
  assert.is(await cli.done(`delete stack ${name} --yes`), `stack system/${name} deleted\n`);
  await cli.fails(1, `delete stack ${name} --yes`);
});

stacks('shows how to abandon a removal that waits for an agent that never started', async () => {
  const name = freshName();
  const [lazy, busy] = [`${name}-lazy`, `${name}-busy`];
  await client.admin.createAgent({ name: lazy, labels: [name] });
  await startTestAgent(broker, { name: busy, labels: [name] });
  await cli.done(`create stack ${name} --label ${name}`);
  const { stdout, stderr } = await cli.run(`delete stack ${name} --yes`);
  assert.is(stdout, `stack system/${name} deleted; its objects are still on 2 agents\n`);
  assert.match(
    stderr,
    new RegExp(`^agent ${lazy} has never started, so .*\n  brokkr forget-removal ${lazy} system/${name}\n$`),
  );
  await cli.done(`forget-removal ${lazy} system/${name} --yes`);
});

stacks('watches a stack until it is deleted', async () => {
  const name = freshName();
  const agent = await makeAgent(name);
  await client.broker.createStack({ name, labels: [name] });
  await client.broker.submitDeployment({ stack: name, manifest: configMap });
  const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const people = cli.run(`watch ${name}`, { onOutput: () => begun[0].resolve() });
  const programs = cli.run(`watch ${name} -o json`, { onOutput: () => begun[1].resolve() });
  await Promise.all(begun.map(({ promise }) => promise));
  await agent.reconcile();
  await cli.done(`delete stack ${name} --yes`);
  // The removal reaches the agent a moment later; before that it would report applied again.
  await eventually(async () => (await agent.removingStacks()).includes(name), 30_000);
  await agent.reconcile();
  const output = await people;
  assert.is(output.code, 0, output.stderr);
  assert.match(output.stdout, new RegExp(`system/${name} is at revision 1; agents: 1 pending\\n`));
  assert.match(output.stdout, new RegExp(`${name} {2}applied {2}revision 1\\n`));
  assert.match(output.stdout, new RegExp(`stack system/${name} is deleted\\n$`));
  const lines = (await programs).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.is(lines[0].stack.name, name);
  await cli.fails(1, 'watch nowhere');
});

stacks.run();
