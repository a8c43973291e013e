import { create } from '@bufbuild/protobuf';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { LabelSelectorSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { isSelected } from '../options/choice.ts';
import { parseSelector } from '../options/selector.ts';

const many = suite('cli: many at once');
const broker = await startTestBroker();
const cli = testCli(broker);
const { broker: client } = broker.client();
const agents: TestAgent[] = [];
for (const [name, zone] of Object.entries({ 'eu-1': 'a', 'eu-2': 'b', 'us-1': 'a' }))
  agents.push(await startTestAgent(broker, { name, labels: [name.slice(0, 2)], annotations: { zone } }));

many.after(async () => {
  cli.close();
  await broker.close();
});

const pausedAgents = async () => {
  const { agents: listed } = await client.listAgents({});
  return listed.filter(({ paused }) => paused).map(({ name }) => name);
};

many('agents are paused and resumed by name, by selector and all', async () => {
  assert.is(
    await cli.done('pause eu-1 us-1'),
    'agent eu-1 is paused and changes nothing\nagent us-1 is paused and changes nothing\n',
  );
  assert.equal(await pausedAgents(), ['eu-1', 'us-1']);
  await cli.done('resume --all --yes');
  assert.equal(await pausedAgents(), []);
  await cli.done(['pause', '-l', 'zone=a,!us', '--yes']);
  assert.equal(await pausedAgents(), ['eu-1']);
  const listed = JSON.parse(await cli.done('resume eu-1 eu-2 -o json')) as { agents: { name: string }[] };
  assert.equal(
    listed.agents.map(({ name }) => name),
    ['eu-1', 'eu-2'],
  );
  assert.is((JSON.parse(await cli.done('resume eu-1 -o json')) as { name: string }).name, 'eu-1');
});

many('a choice by selector is asked about once, and without a terminal refused', async () => {
  const text = await cli.fails(2, 'pause --all');
  assert.match(text, 'Pause 3 agents? eu-1, eu-2, us-1');
  assert.match(text, 'add --yes');
  assert.equal(await pausedAgents(), []);
});

many('what is no choice is said', async () => {
  assert.match(await cli.fails(2, 'pause'), 'no agent is named');
  assert.match(await cli.fails(2, 'pause eu-1 --all --yes'), 'give names, or --selector, or --all');
  assert.match(await cli.fails(2, 'pause --all -l eu --yes'), '--selector or --all, not both');
  assert.match(await cli.fails(1, 'pause -l asia --yes'), 'no agent matches');
  assert.match(await cli.fails(2, 'label agent --all --yes'), 'missing labels to change');
  assert.match(await cli.fails(2, 'label agent --all --yes --etag x new'), '--etag is for one resource');
  assert.match(await cli.fails(2, 'confirm-removal --all --yes'), 'give one stack');
  assert.match(await cli.fails(2, 'confirm-removal eu-1'), 'an agent and a stack are needed');
});

many('one that fails does not stop the others, and the failures are counted', async () => {
  const { code, stdout, stderr } = await cli.run('pause eu-1 missing us-1');
  assert.is(code, 1);
  assert.is(stdout, 'agent eu-1 is paused and changes nothing\nagent us-1 is paused and changes nothing\n');
  assert.match(stderr, /^agent missing: error: agent "missing" not found\n/);
  assert.match(stderr, 'error: 1 of 3 agents failed');
  assert.match(await cli.fails(1, 'pause missing'), /^error: agent "missing" not found/);
  await cli.done('resume --all --yes');
});

many('labels and annotations of many are changed', async () => {
  assert.match(await cli.done(['label', 'agents', '-l', 'zone=a', 'new', 'eu-', '--yes']), /^agent eu-1: labels new; /);
  const { agents: listed } = await client.listAgents({ label: 'new' });
  assert.equal(
    listed.map(({ name, labels }) => [name, labels]),
    [
      ['eu-1', ['new']],
      ['us-1', ['new', 'us']],
    ],
  );
  await cli.done('annotate agent --all --yes ring=0');
  const { agents: all } = await client.listAgents({});
  assert.ok(all.every(({ annotations }) => annotations.ring === '0'));
  for (const name of ['web', 'api']) await client.createStack({ name, labels: [name] });
  assert.is(
    await cli.done('label stacks --all --yes shop'),
    'stack system/api: labels api, shop; agents none\nstack system/web: labels shop, web; agents none\n',
  );
  await cli.done('label stack web shop-');
});

many('held removals of a stack are shown and confirmed at once, and only those', async () => {
  await client.createStack({ name: 'data', selector: { matchAll: true } });
  await client.submitDeployment({ stack: 'data', manifest: configMap('data') });
  for (const agent of agents) {
    const entry = await eventually(() => agent.entry('data'));
    const isHeld = agent.name !== 'eu-2';
    await agent.report(entry, isHeld ? Outcome.HELD : Outcome.APPLIED, isHeld ? 'deletes a volume' : '', {
      heldKeys: isHeld ? ['00000000000000aa'] : [],
    });
  }
  const asked = await cli.fails(2, 'confirm-removal data --all');
  assert.match(asked, /AGENT +PHASE .*MESSAGE/);
  assert.match(asked, /eu-1 +held .*deletes a volume/);
  assert.match(asked, 'Allow stack system/data to proceed on 2 agents? eu-1, us-1');
  assert.is(await cli.done('confirm-removal data -l us --yes'), 'agent us-1 may proceed with stack system/data\n');
  assert.is(await cli.done('confirm-removal data --all --yes'), 'agent eu-1 may proceed with stack system/data\n');
  assert.match(await cli.fails(1, 'confirm-removal data --all --yes'), 'nothing of stack data waits');
});

many('a selector means in the CLI what it means to the broker', async () => {
  const terms = [
    'zone=a',
    'zone!=a',
    'zone in (a,b)',
    'zone notin (b)',
    'zone',
    '!zone',
    'us',
    '!us',
    'zone=a,!us',
    '*',
  ];
  for (const text of terms) {
    const selector = parseSelector(text);
    const { stack } = await client.createStack({ name: 'probe', selector });
    const { placements } = await client.listPlacements({ stack: stack!.id });
    const { agents: listed } = await client.listAgents({});
    assert.equal(
      listed.filter((agent) => isSelected(selector, agent)).map(({ name }) => name),
      placements.map(({ agent }) => agent).sort(),
      text,
    );
    await client.deleteStack({ stack: stack!.id });
    for (const agent of agents) await agent.reconcile();
  }
  const byLabels = create(LabelSelectorSchema, { matchLabels: { zone: 'a' } });
  assert.ok(isSelected(byLabels, { name: 'x', labels: [], annotations: { zone: 'a' } }));
});

many.run();
