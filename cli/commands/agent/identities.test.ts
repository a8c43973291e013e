import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../../gen/brokkr/v1/event_pb.ts';
import { PlacementState } from '../../../gen/brokkr/v1/placement_pb.ts';
import { startTestAgent } from '../../../test/agents.ts';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { testCli } from '../../../test/cli.ts';

const fleet = suite('cli: agents, generators and keys');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();

fleet.after(async () => {
  cli.close();
  await broker.close();
});

let nameCount = 0;
const freshName = () => `f${++nameCount}`;
const aKey = /brokkr_(ad|ro|ge|ag)\w+_\w+/;
const configMap = Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}');

fleet('a new key is alone on standard output, works, and is not shown elsewhere', async () => {
  const [agent, generator, admin] = [freshName(), freshName(), freshName()];
  for (const create of [`agent ${agent}`, `generator ${generator}`, `admin-pak ${admin} --read-only --expires 1h`]) {
    const { code, stdout, stderr } = await cli.run(`create ${create}`);
    assert.is(code, 0, stderr);
    assert.match(stdout, /^brokkr_(ro|ge|ag)\w+_\w+\n$/);
    assert.not.match(stderr, aKey);
    assert.match((await cli.run('whoami', { env: { BROKKR_PAK: stdout.trim() } })).stdout, create.split(' ')[1]!);
  }
  const looks = ['get paks', 'get paks -o json', 'get agents -o yaml', `describe agent ${agent}`, 'get generators'];
  for (const look of [...looks, `describe generator ${generator}`, `get pak --owner ${agent}`])
    assert.not.match(await cli.done(look), aKey);
  assert.match(JSON.parse(await cli.done(`create agent ${freshName()} -o json`)).pak, aKey);
  for (const again of [`agent ${agent}`, `generator ${generator}`, `admin-pak ${admin} --read-only`])
    assert.match(await cli.fails(1, `create ${again}`), 'exists');
});

fleet('a key is written to a file with --pak-file', async () => {
  const file = join(cli.folder, 'agent.pak');
  const { stdout, stderr } = await cli.run(`create agent ${freshName()} --pak-file ${file}`);
  assert.is(stdout, '');
  assert.match(stderr, file);
  assert.match(readFileSync(file, 'utf8'), aKey);
  assert.is(statSync(file).mode & 0o777, 0o600);
  assert.match(await cli.fails(1, `create agent ${freshName()} --pak-file ${file}`), 'it already exists');
});

fleet('shows, labels, annotates and describes an agent', async () => {
  const name = freshName();
  await cli.run(`create agent ${name} --label a --annotation zone=eu --description edge`);
  assert.match(await cli.done(`get agent ${name}`), new RegExp(`\n${name} +never-started +none +a +zone=eu +- +-\n$`));
  assert.is(await cli.done('get agents --label a -o name'), `${name}\n`);
  assert.match(await cli.done(`label agent ${name} b a-`), 'labels b;');
  assert.match(await cli.done(`annotate agent ${name} zone- tier=web`), 'annotations tier=web;');
  await cli.done(['update', 'agent', name, '--description', 'by the sea']);
  assert.match(await cli.done(`describe agent ${name}`), /Description: +by the sea\n[\s\S]*Labels: +b\n/);
  await cli.fails(1, 'get agent nobody');
  await cli.fails(1, 'label agent nobody a');
});

fleet('pauses, resumes, rebinds and deletes an agent', async () => {
  const name = freshName();
  const agent = await startTestAgent(broker, { name });
  await cli.done(`pause ${name}`);
  assert.match(await cli.done(`get agents ${name}`), 'online, paused');
  await cli.done(`resume ${name}`);
  assert.not.match(await cli.done(`get agents ${name}`), 'paused');
  assert.match(await cli.fails(2, `rebind ${name}`), 'add --yes');
  await cli.done(`rebind ${name} --yes`);
  await agent.start({ clusterId: randomUUID() });
  await client.broker.createStack({ name });
  await cli.done(`target ${name} ${name}`);
  await client.broker.submitDeployment({ stack: name, manifest: configMap });
  assert.match(await cli.done(`delete agent ${name} --yes`), 'it still has to remove 1 stack');
  assert.match(await cli.done('get agents --show-deleted'), /being deleted/);
  await agent.reconcile();
  await cli.fails(1, `get agent ${name}`);
  await cli.fails(1, 'pause nobody');
  await cli.fails(1, 'rebind nobody --yes');
  const orphan = freshName();
  await client.admin.createAgent({ name: orphan });
  assert.is(await cli.done(`delete agent ${orphan} --orphan --yes`), `agent ${orphan} deleted\n`);
});

fleet('abandons removals', async () => {
  const name = freshName();
  await client.admin.createAgent({ name, labels: [name] });
  await client.broker.createStack({ name, labels: [name] });
  assert.match(await cli.fails(1, `forget-removal ${name} ${name} --yes`), 'there is no removal');
  await cli.done(`label stack ${name} ${name}-`);
  assert.match(await cli.fails(2, `forget-removal ${name} ${name}`), 'is removing');
  assert.match(
    await cli.fails(1, `confirm-removal ${name} ${name} --generation 1 --yes`),
    'see the current state: brokkr get',
  );
  await cli.done(`forget-removal ${name} ${name} --yes`);
  assert.match(await cli.fails(1, `confirm-removal ${name} ${name} --yes`), 'has no placement of stack');
});

fleet('confirms held removals at the generation that was shown', async () => {
  const name = freshName();
  const agent = await startTestAgent(broker, { name, labels: [name] });
  await client.broker.createStack({ name, labels: [name] });
  await client.broker.submitDeployment({ stack: name, manifest: configMap });
  const entry = await agent.entry(name);
  await agent.report(entry, Outcome.HELD, 'would delete a PersistentVolumeClaim');
  const output = await cli.fails(1, `apply -f - --stack ${name} --wait`, { stdin: configMap.toString() });
  assert.match(
    output,
    `would delete a PersistentVolumeClaim\n  to confirm it: brokkr confirm-removal ${name} system/${name}`,
  );
  assert.match(await cli.fails(2, `confirm-removal ${name} ${name}`), 'is held (would delete');
  assert.match(
    await cli.done(`explain ${name} ${name}`),
    `✗ deletions: held, would delete a PersistentVolumeClaim; brokkr confirm-removal ${name} system/${name}`,
  );
  await cli.fails(1, `confirm-removal ${name} ${name} --yes --generation ${entry.generation + 1n}`);
  await cli.done(`confirm-removal ${name} ${name} --yes`);
  assert.match(
    await cli.fails(1, `confirm-removal ${name} ${name} --yes`),
    'nothing waits for a confirmation: Stack system/',
  );
  assert.is((await agent.entry(name)).confirmed, true);
  await client.broker.deleteStack({ stack: name });
  assert.match(await cli.fails(1, `confirm-removal ${name} ${name} --yes`), 'is removing (the stack');
  const removal = await eventually(
    async () => (await agent.pull()).entries.find(({ state }) => state === PlacementState.REMOVING),
    30_000,
  );
  await agent.report(removal, Outcome.HELD, 'would delete a Namespace');
  assert.match(await cli.done(`explain ${name} ${name}`), '✗ removal: held, would delete a Namespace; brokkr confirm-');
});

fleet('registers, approves and deregisters', async () => {
  const [agent, generator] = [freshName(), freshName()];
  const asking = await startTestAgent(broker, { name: agent });
  await cli.run(`create generator ${generator} --registration approve`);
  await asking.client.agent.registerGenerator({ generator, incarnation: asking.incarnation });
  assert.match(await cli.done(`get registrations --generator ${generator}`), 'requested');
  assert.match(await cli.done(`approve ${agent} ${generator}`), 'is registered');
  assert.match(await cli.done(`get registration ${agent} ${generator}`), 'registered');
  assert.match(await cli.fails(2, `deregister ${agent} ${generator}`), 'add --yes');
  await cli.done(`deregister ${agent} ${generator} --yes`);
  await cli.fails(1, `deregister ${agent} system --yes`);
  await cli.fails(1, `register ${agent} nobody`);
});

fleet('a generator manages its own stacks, and sees no others', async () => {
  const [mine, agent] = [freshName(), freshName()];
  const { pak } = await client.admin.createGenerator({ name: mine });
  await client.admin.createAgent({ name: agent, generators: [mine] });
  await client.admin.createAgent({ name: `${agent}-hidden` });
  await client.broker.createStack({ name: 'hidden' });
  const own = testCli(broker, pak);
  try {
    await own.done(`apply -f - --stack shop --target ${agent}`, { stdin: configMap.toString() });
    assert.is(await own.done('get stacks -o name'), `${mine}/shop\n`);
    assert.is(await own.done('get agents -o name'), `${agent}\n`);
    assert.match(await own.done(`describe agent ${agent}`), `${mine}/shop`);
    await own.fails(1, `get agent ${agent}-hidden`);
    await own.fails(1, 'get stack system/hidden');
    assert.match(await own.fails(1, 'get paks'), 'brokkr whoami shows whose key this is');
    assert.match(await cli.fails(1, `delete generator ${mine} --yes`), 'stack');
    assert.match(await cli.done(`delete generator ${mine} --cascade --yes`), 'deleted');
  } finally {
    own.close();
  }
});

fleet('changes a generator', async () => {
  const name = freshName();
  await cli.run(`create generator ${name}`);
  await cli.done(`update generator ${name} --registration approve --description shops`);
  assert.match(await cli.done(`get generator ${name}`), /approve .* shops\n$/);
  await cli.fails(2, `update generator ${name}`);
  await cli.fails(1, 'get generator nobody');
});

fleet('rotates keys, immediately or with an overlap, and revokes them', async () => {
  const name = freshName();
  const { pak: first } = await client.admin.createAgent({ name });
  const works = async (pak: string) => (await cli.run('whoami', { env: { BROKKR_PAK: pak } })).code === 0;
  const second = (await cli.done(`rotate agent ${name} --overlap 1h`)).trim();
  assert.equal([await works(first), await works(second)], [true, true]);
  const third = (await cli.done(`rotate agent ${name} --now`)).trim();
  assert.equal([await works(first), await works(second), await works(third)], [false, false, true]);
  const short = await cli.done(`get paks --owner ${name} -o name`);
  assert.match(await cli.fails(2, `revoke ${short.trim()}`), 'add --yes');
  await cli.done(`revoke ${short.trim()} --yes`);
  assert.is(await works(third), false);
  assert.match(await cli.done(`get paks --owner ${name} --show-ended`), 'revoked');
  assert.match(await cli.done(`get pak ${short.trim()}`), 'revoked');
  const admin = { env: { BROKKR_PAK: (await client.admin.createAdminPak({ name: freshName() })).pak } };
  const own = admin.env.BROKKR_PAK.slice('brokkr_'.length).split('_')[0] ?? '';
  for (const key of [own, own.slice(2), admin.env.BROKKR_PAK])
    for (const yes of ['', '--yes']) {
      const { code, stderr } = await cli.run(`revoke ${key} ${yes}`.trim(), admin);
      assert.is(code, 2);
      assert.match(stderr, /(is|It is) the key in use/);
    }
  assert.is((await cli.run(`revoke ${own} --yes --own`, admin)).code, 0);
  assert.is(await works(admin.env.BROKKR_PAK), false);
  const generator = freshName();
  await client.admin.createGenerator({ name: generator });
  assert.match(await cli.done(`rotate generator ${generator} -o json`), aKey);
  await cli.fails(2, `rotate agent ${name} --now --overlap 1h`);
  await cli.fails(1, 'rotate agent nobody');
  await cli.fails(1, 'revoke agNothing123 --yes');
});

fleet.run();
