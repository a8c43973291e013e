import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GapReason, TelemetryKind } from '../../../gen/brokkr/v1/telemetry_pb.ts';
import { startTestAgent, type TestAgent } from '../../../test/agents.ts';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { testCli } from '../../../test/cli.ts';
import { openSession, type TelemetryItemInit } from '../../../test/sessions.ts';
import { waitForOutput } from '../../../test/tools/command.ts';

const deadlineMs = 30_000;
const at = timestampFromMs(Date.parse('2027-01-31T12:00:00.5Z'));
const telemetry = suite('cli: logs and events');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();
const agents = new Map<string, TestAgent>();
await client.broker.createStack({ name: 'web', labels: ['web'] });
const manifest = Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}');
await client.broker.submitDeployment({ stack: 'web', manifest });
for (const name of ['east', 'west']) agents.set(name, await startTestAgent(broker, { name, labels: ['web'] }));
const { stackId } = await agents.get('west')!.entry('web');
const sequences = new Map<string, bigint>();

telemetry.after(async () => {
  cli.close();
  await broker.close();
});

const source = { namespace: 'shop', pod: 'web-1', container: 'main', timestamp: at };
const line = (text: string, truncated = false): TelemetryItemInit => ({
  stackId,
  item: { case: 'line', value: { ...source, line: text, truncated } },
});

async function sendTelemetry(name: string, ...items: TelemetryItemInit[]): Promise<void> {
  const sequence = (sequences.get(name) ?? 0n) + 1n;
  sequences.set(name, sequence);
  const session = await openSession(broker, agents.get(name)!);
  session.telemetry(sequence, items);
  await eventually(() => session.received === sequence, deadlineMs);
  await session.end();
}

telemetry('report an empty result', async () => {
  const { stdout, stderr } = await cli.run('logs web');
  assert.is(stdout, '');
  assert.match(stderr, /^nothing is stored\n.*brokkr\.io\/stream-logs: "true"/);
  assert.match((await cli.run('events web')).stderr, /^nothing is stored\n.*BROKKR_TELEMETRY/);
});

telemetry('show lines with their source and without control sequences, and gaps with their reason', async () => {
  await sendTelemetry('east', line('\u001b[31mred\u0007 alert\u001b]0;title\u0007'), line('a long one', true));
  const gap = { kind: TelemetryKind.POD_LOGS, reason: GapReason.RATE_LIMIT, count: 12n, ...source };
  await sendTelemetry('west', { stackId, item: { case: 'gap', value: gap } }, line('west  is\tquiet'));
  assert.equal((await cli.done('logs web')).split('\n'), [
    'east web-1/main  red alert',
    'east web-1/main  a long one … (truncated)',
    'west web-1/main  (12 lines are missing: the agent exceeded its rate limit)',
    'west web-1/main  west  is    quiet',
    '',
  ]);
  assert.is(
    await cli.done('logs web --tail 1 --timestamps'),
    'west web-1/main  2027-01-31T12:00:00.500Z  west  is    quiet\n',
  );
  assert.is(
    await cli.done('logs web --agent east --pod web-1 --container main --tail 1'),
    'east web-1/main  a long one … (truncated)\n',
  );
  assert.is(await cli.done('logs web --pod web-2'), '');
  const [first] = (await cli.done('logs web -o json')).split('\n');
  const record = JSON.parse(first!);
  assert.equal([record.agent, record.item.line.pod], ['east', 'web-1']);
});

telemetry('show Kubernetes events, apart from the events of agents', async () => {
  const object = { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-1' };
  const event = { object, type: 'Warning', reason: 'BackOff', message: 'restarting', count: 3, lastTime: at };
  const fine = { ...event, type: 'Normal', reason: 'Pulled', message: 'image is there', count: 1 };
  await sendTelemetry(
    'east',
    { stackId, item: { case: 'event', value: fine } },
    { stackId, item: { case: 'event', value: event } },
  );
  const warning = '2027-01-31T12:00:00.500Z  east  Warning  BackOff  Pod shop/web-1  restarting (x3)\n';
  assert.is(
    await cli.done('events web'),
    `2027-01-31T12:00:00.500Z  east  Normal  Pulled  Pod shop/web-1  image is there\n${warning}`,
  );
  assert.is(await cli.done('events web --warnings --object Pod/shop/web-1 --since 1h'), warning);
  assert.is(await cli.done('events web --object Pod/other'), '');
  assert.not.match(await cli.done('get events'), 'BackOff');
});

telemetry('are followed across a restart of the broker, each line once', async () => {
  const watching = new AbortController();
  const [old, first, second] = [
    waitForOutput('is    quiet'),
    waitForOutput('before the restart'),
    waitForOutput('after the restart'),
  ];
  const onOutput = (text: string) => [old, first, second].forEach((hearing) => void hearing.onOutput(text));
  const following = cli.run('logs web -f --tail 1', { onOutput, signal: watching.signal });
  await Promise.race([old.found, following]);
  await sendTelemetry('east', line('before the restart'));
  await Promise.race([first.found, following]);
  await broker.restart();
  await sendTelemetry('west', line('after the restart'));
  await Promise.race([second.found, following]);
  watching.abort();
  const { code, stdout, stderr } = await following;
  assert.match(stderr, /^(lost the connection to the broker; reconnecting…\n)+$/);
  assert.equal(stdout.split('\n'), [
    'west web-1/main  west  is    quiet',
    'east web-1/main  before the restart',
    'west web-1/main  after the restart',
    '',
  ]);
  assert.is(code, null, 'it was ended by Ctrl-C');
});

telemetry('reject invalid options', async () => {
  for (const args of ['logs web --tail many', 'events web --object web', 'logs web --since soon']) {
    const { code, stdout } = await cli.run(args);
    assert.equal([code, stdout], [2, ''], args);
  }
  assert.match(await cli.fails(1, 'logs nothing'), /stack "nothing" not found/);
});

telemetry.run();
