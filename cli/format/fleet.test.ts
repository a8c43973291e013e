import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { AgentState, FleetMemberSchema, FleetSchema } from '../../gen/brokkr/v1/fleet_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { reportHealth } from '../../test/agent-health.ts';
import { createTestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { waitForOutput } from '../../test/tools/command.ts';
import { openOutput } from '../output/output.ts';
import { fleetScreen } from './fleet.ts';

const fleet = suite('cli: the fleet');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();

fleet.after(async () => {
  cli.close();
  await broker.close();
});

const configMap = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}';

const makeAgent = (name: string, labels: string[]) => createTestAgent(broker, { name, labels });

fleet('has no problems while it is empty', async () => {
  const output = await cli.done('status');
  assert.match(output, /^Agents: +none\nStacks: +0\nPlacements: +none\n\nNo problems found\.\n$/);
  assert.match((await cli.run('get fleet')).stderr, 'no agents');
});

fleet('is summarized by its counts and the agents with problems', async () => {
  const [good, bad, away] = await Promise.all([
    makeAgent('well', ['prod']),
    makeAgent('ill', ['prod', 'edge']),
    makeAgent('away', ['spare']),
  ]);
  await cli.done('apply -f - --stack web --label prod', { stdin: configMap });
  for (const agent of [good, bad]) {
    await agent.start();
    await agent.reconcile();
  }
  await reportHealth(good, Health.HEALTHY);
  await reportHealth(bad, Health.DEGRADED, 'one replica is missing');
  const cluster = { reachable: true, latency: durationFromMs(12) };
  await good.client.agent.heartbeat({ incarnation: good.incarnation, cluster });
  await bad.client.agent.heartbeat({ incarnation: bad.incarnation, cluster: { ...cluster, reachable: false } });
  const output = await eventually(async () => {
    const text = await cli.done('status');
    return text.includes('1 unreachable') && text;
  }, 30_000);
  assert.match(output, /^Agents: +2 online, 1 never-started\nClusters: +1 unreachable\nStacks: +1\n/);
  assert.match(
    output,
    /\nHealth: +1 degraded, 1 healthy\n\nProblems\n {2}system\/web revision 1 by admin.*, \d+s ago\n {4}degraded on 1 of 2 agents: one replica is missing\n {4}ill: brokkr explain system\/web ill\n/,
  );
  await cli.done('pause well');
  assert.match(await cli.done('status'), /\n\n1 agent paused: brokkr get fleet --state paused\n$/);
  await cli.done('resume well');
  assert.match(
    output,
    /\n\nAgents with problems\n {2}AGENT +STATE +HEALTH +STACKS +CLUSTER +SEEN\n {2}ill +online +degraded +1 applied +unreachable +\d+s\n$/,
  );
  assert.is(await cli.done('status -o name'), 'ill\n');
  const answer = JSON.parse(await cli.done('status -o json'));
  assert.equal([answer.fleet.online, answer.fleet.health.degraded, answer.troubled.length], [2, 1, 1]);
  assert.ok(away);
});

fleet('is listed by state, label, name and problems', async () => {
  const rows = await cli.done('get fleet');
  assert.match(rows, /\nwell +online +healthy +1 applied +12ms +\d+s\n/);
  assert.match(rows, /\naway +never-started +- +none +- +-\n/);
  assert.is(await cli.done('get fleet --label edge -o name'), 'ill\n');
  assert.is(await cli.done('get fleet --state never-started -o name'), 'away\n');
  assert.is(await cli.done('get fleet --search wel -o name'), 'well\n');
  assert.is(await cli.done('get fleet --troubled -o name'), 'ill\n');
  assert.match(
    await cli.done('get fleet -o wide'),
    /CONNECTED +KUBERNETES +VERSION +LABELS\n[\s\S]* v1\.36\.3 +test +(prod,edge|edge,prod)\n/,
  );
  assert.is(
    JSON.parse(await cli.done('get fleet -o json --search away')).members[0].state,
    'AGENT_STATE_NEVER_STARTED',
  );
  await cli.fails(2, 'get fleet --state lost');
  assert.match(await cli.done('describe agent ill'), /Cluster latency: +unreachable\n/);
});

fleet('is for admins', async () => {
  const { pak } = await client.admin.createGenerator({ name: 'tenant' });
  for (const look of ['get fleet', 'watch fleet'])
    assert.match(await cli.fails(1, look, { env: { BROKKR_PAK: pak } }), 'brokkr whoami shows whose key this is');
});

fleet('is watched line by line without a terminal', async () => {
  const late = await makeAgent('late', ['late']);
  await cli.done('apply -f - --stack late --label late', { stdin: configMap });
  const watching = new AbortController();
  const [begun, ended] = [waitForOutput('late  never-started'), waitForOutput('late  online  stacks: 1 failed')];
  const onOutput = (text: string) => [begun, ended].forEach((hearing) => void hearing.onOutput(text));
  const people = cli.run('watch fleet', { onOutput, signal: watching.signal });
  await Promise.race([begun.found, people]);
  await late.start();
  await late.report(await late.entry('late'), Outcome.FAILED, 'no');
  await Promise.race([ended.found, people]);
  watching.abort();
  const { stdout } = await people;
  assert.match(stdout, /^\d\d:\d\d:\d\d {2}agents: 2 online, 2 never-started; .*stacks: 2; placements: /);
  assert.match(stdout, /\d {2}late {2}never-started {2}stacks: 1 pending\n/);
  assert.match(stdout, /\d {2}late {2}online {2}stacks: 1 failed\n/);
  assert.not.match(stdout, '\u001b');
});

fleet('is watched by programs as messages of the API', async () => {
  const watching = new AbortController();
  const { found, onOutput } = waitForOutput('"members":[{');
  const programs = cli.run('watch fleet -o json', { onOutput, signal: watching.signal });
  await Promise.race([found, programs]);
  watching.abort();
  const [first] = (await programs).stdout.split('\n');
  assert.ok(JSON.parse(first!).fleet);
});

fleet('fits on a screen of any size, agents with problems first', () => {
  const output = openOutput('table');
  const counts = create(FleetSchema, { online: 30, stacks: 1 });
  const members = Array.from({ length: 30 }, (_, number) =>
    create(FleetMemberSchema, {
      agent: {
        id: String(number),
        name: `edge-${String(number).padStart(2, '0')}`,
        online: true,
        clusterReachable: true,
      },
      state: AgentState.ONLINE,
      health: number === 7 ? Health.FAILED : number > 20 ? Health.DEGRADED : Health.HEALTHY,
    }),
  );
  for (const rows of [10, 24, 35]) {
    const lines = fleetScreen(output, counts, members, rows);
    assert.is(lines.length, rows);
    assert.match(lines.find((line) => line.startsWith('edge-'))!, /^edge-07 +online +failed /);
  }
  assert.is(fleetScreen(output, counts, members, 10).at(-1), 'and 27 more, 7 of them with problems');
  assert.is(fleetScreen(output, counts, members, 24).at(-1), 'and 13 more, none of them with problems');
  assert.is(fleetScreen(output, counts, members, 100).length, 36);
});

fleet('is for a generator what it deploys and where, and nothing of others', async () => {
  const { pak } = await client.admin.createGenerator({ name: 'shop' });
  const env = { BROKKR_PAK: pak! };
  assert.match(
    await cli.done('status', { env }),
    /^Agents: +none\nStacks: +0\nPlacements: +none\n\nNo problems found\.\n$/,
  );
  await client.admin.addRegistration({ agent: 'ill', generator: 'shop' });
  assert.match(await cli.done('get agents', { env }), /\nill .* none /, 'the stacks of others do not count');
  await cli.done('apply -f - --stack shop --label edge', { stdin: configMap, env });
  assert.match(await cli.done('get agents', { env }), /\nill .* 1 pending /);
  const status = await cli.done('status', { env });
  assert.match(status, /^Agents: +1 \w+\n(Clusters: .*\n)?Stacks: +1\nPlacements: +1 pending/);
  assert.match(
    status,
    /\nProblems\n {2}shop\/shop revision 1 .*\n {4}pending on 1 of 1 agent: .*\n {4}ill: brokkr explain shop\/shop ill\n/,
  );
  const answer = JSON.parse(await cli.done('status -o json', { env }));
  assert.equal([answer.fleet.stacks, answer.troubled.length], [1, 1]);
  assert.match(await cli.done('get agents'), /\nill .* 1 applied, 1 pending /, 'an admin sees all');
});

fleet.run();
