// Over 300 lines: all of it shares two brokers, and what makes a stack, its agents and what they tell
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  GapReason,
  type TailStackRequestSchema,
  TelemetryKind,
  type TelemetryRecord,
} from '../../gen/brokkr/v1/telemetry_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openSession, type TelemetryItemInit } from '../../test/sessions.ts';
import { openMigrated } from '../open-store.ts';
import { dropOldTelemetry, dropOrphanedTelemetry, makeTelemetrySlices } from './partition-store.ts';

const deadlineMs = 30_000;
const test = await startTestBroker({ brokers: 2 });
const { admin, broker } = test.client();
const db = await openMigrated(test.config);
const telemetry = suite('telemetry');
telemetry.after(async () => {
  await db.close();
  await test.close();
});

let made = 0;
/** A stack, and as many agents that serve it. */
async function setUp(count = 1, generator = 'system') {
  const label = `t${++made}`;
  const { stack } = await broker.createStack({ name: label, generator, labels: [label] });
  await broker.submitDeployment({ stack: stack!.id, manifest: configMap(label) });
  const agents: TestAgent[] = [];
  for (let at = 0; at < count; at += 1)
    agents.push(
      await startTestAgent(test, {
        name: `${label}-${at}`,
        labels: [label],
        ...(generator !== 'system' && { generators: [generator] }),
        url: test.urls[at % test.urls.length] ?? '',
      }),
    );
  for (const agent of agents) await eventually(async () => (await agent.activeStacks()).includes(label));
  return { stackId: stack!.id, name: `${generator}/${label}`, agents, agent: agents[0]! };
}

const line = (stackId: string, text: string, pod = 'web-1', container = 'web'): TelemetryItemInit => ({
  stackId,
  item: { case: 'line', value: { namespace: 'shop', pod, container, line: text, timestamp: timestampFromMs(1e12) } },
});
const event = (stackId: string, message: string, type = 'Normal', name = 'web'): TelemetryItemInit => ({
  stackId,
  item: {
    case: 'event',
    value: {
      object: { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name },
      type,
      reason: 'ScalingReplicaSet',
      message,
      count: 2,
      firstTime: timestampFromMs(1e12),
      lastTime: timestampFromMs(1e12 + 5_000),
      source: 'deployment-controller',
    },
  },
});

const nameOf = (reason: GapReason) => Object.entries(GapReason).find(([, value]) => value === reason)?.[0];
const textsOf = (records: readonly TelemetryRecord[]) =>
  records.map(({ item }) => {
    switch (item?.item.case) {
      case 'line':
        return item.item.value.line;
      case 'event':
        return item.item.value.message;
      case 'gap':
        return `gap of ${item.item.value.count}: ${nameOf(item.item.value.reason)}`;
      default:
        return 'nothing';
    }
  });
const logsOf = async (stack: string, more = {}) =>
  textsOf((await broker.listPodLogs({ stack, oldestFirst: true, ...more })).records);

/** Tells it over a session of its own, and waits until the broker has it. */
async function tell(agent: TestAgent, items: readonly TelemetryItemInit[], sequence = 1n, url = test.url) {
  const session = await openSession(test, agent, url);
  session.telemetry(sequence, items);
  await eventually(() => session.received >= sequence, deadlineMs);
  await session.end();
}

function tail(request: MessageInitShape<typeof TailStackRequestSchema>, url = test.url, pak = test.adminPak) {
  const records: TelemetryRecord[] = [];
  const stop = new AbortController();
  let isUp = false;
  const ended = (async () => {
    for await (const message of test.client(pak, { url }).broker.tailStack(request, { signal: stop.signal })) {
      isUp = true;
      records.push(...message.records);
    }
  })();
  ended.catch(() => {});
  return {
    records,
    texts: () => textsOf(records),
    up: () => eventually(() => isUp, deadlineMs),
    ended,
    stop: () => stop.abort(),
  };
}

telemetry('lists lines and events with all that was told of them, by either end and page by page', async () => {
  const { stackId, name, agent } = await setUp();
  await tell(agent, [
    ...['one', 'two', 'three'].map((text) => line(stackId, text)),
    event(stackId, 'scaled up'),
    line(stackId, 'other', 'api-1', 'api'),
  ]);
  assert.equal(await logsOf(name), ['one', 'two', 'three', 'other']);
  assert.equal(await logsOf(name, { oldestFirst: false }), ['other', 'three', 'two', 'one']);
  assert.equal(await logsOf(name, { pod: 'api-1' }), ['other']);
  assert.equal(await logsOf(name, { container: 'web', agent: agent.name }), ['one', 'two', 'three']);
  assert.equal(await logsOf(name, { startTime: timestampFromMs(Date.now() + 60_000) }), []);
  const pages: string[][] = [];
  for (let pageToken = ''; ; ) {
    const page = await broker.listPodLogs({ stack: name, pageSize: 3, pageToken });
    pages.push(textsOf(page.records));
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  assert.equal(pages, [['other', 'three', 'two'], ['one']]);
  const { records } = await broker.listKubernetesEvents({ stack: name });
  assert.is(records.length, 1);
  assert.is(records[0]?.agent, agent.name);
  const told = records[0]?.item?.item;
  assert.is(told?.case, 'event');
  assert.equal(
    told?.case === 'event' && [told.value.object?.kind, told.value.reason, told.value.count, told.value.source],
    ['Deployment', 'ScalingReplicaSet', 2, 'deployment-controller'],
  );
});

telemetry('lists events by the object that they are about, and by type', async () => {
  const { stackId, name, agent } = await setUp();
  await tell(agent, [
    event(stackId, 'fine'),
    event(stackId, 'bad', 'Warning'),
    event(stackId, 'else', 'Normal', 'api'),
  ]);
  const list = async (more: object) => textsOf((await broker.listKubernetesEvents({ stack: name, ...more })).records);
  assert.equal(await list({ type: 'Warning' }), ['bad']);
  assert.equal(await list({ object: { kind: 'Deployment', name: 'api' } }), ['else']);
  assert.equal(await list({ object: { kind: 'Pod' } }), []);
});

telemetry('keeps a batch once, however often it is sent, and by whichever broker', async () => {
  const { stackId, name, agent } = await setUp();
  await tell(agent, [line(stackId, 'first')], 1n);
  await tell(agent, [line(stackId, 'first')], 1n, test.urls[1]);
  await tell(agent, [line(stackId, 'second')], 2n, test.urls[1]);
  assert.equal(await logsOf(name), ['first', 'second']);
  await agent.start();
  await tell(agent, [line(stackId, 'of the next start')], 1n);
  assert.equal(await logsOf(name), ['first', 'second', 'of the next start']);
});

telemetry('drops what an agent tells about stacks that it does not serve', async () => {
  const [mine, others] = [await setUp(), await setUp()];
  await tell(mine.agent, [line(others.stackId, 'forged'), line(mine.stackId, 'true')]);
  assert.equal(await logsOf(others.name), []);
  assert.equal(await logsOf(mine.name), ['true']);
  const metrics = await (await fetch(test.brokers[0]!.metricsUrl)).text();
  assert.match(metrics, /brokkr_telemetry_items_total\{result="not_served"\} [1-9]/);
});

telemetry('drops what is over the quota of an agent, with a mark, and never its heartbeats', async () => {
  const { stackId, name, agent } = await setUp();
  const session = await openSession(test, agent);
  const batch = Array.from({ length: 500 }, (_, at) => line(stackId, `line ${at}`));
  for (let sequence = 1n; sequence <= 30n; sequence += 1n) session.telemetry(sequence, batch);
  session.heartbeat({ reachable: true });
  await eventually(() => session.received === 30n, deadlineMs);
  await session.end();
  const { records } = await broker.listPodLogs({ stack: name, pageSize: 500 });
  const [last] = textsOf(records);
  assert.match(last ?? '', /^gap of [1-9][0-9]*: QUOTA$/);
  await eventually(async () => (await admin.getAgent({ agent: agent.name })).agent?.clusterReachable, deadlineMs);
});

telemetry('keeps no key that a container has written', async () => {
  const { stackId, name, agent } = await setUp();
  await tell(agent, [line(stackId, `the key is ${test.adminPak}!`)]);
  assert.equal(await logsOf(name), ['the key is <a key>!']);
});

telemetry('tails what agents tell to any broker, after the history that was asked for', async () => {
  const { stackId, name, agents } = await setUp(2);
  await tell(agents[0]!, [line(stackId, 'old'), line(stackId, 'less old'), event(stackId, 'an event')]);
  const all = tail({ stack: name, startTime: timestampFromMs(0), historySize: 2 }, test.urls[1]);
  const logs = tail({ stack: name, kinds: [TelemetryKind.POD_LOGS], pod: 'web-2' });
  await Promise.all([all.up(), logs.up()]);
  const sessions = await Promise.all(agents.map((agent, at) => openSession(test, agent, test.urls[at])));
  sessions[0]!.telemetry(2n, [line(stackId, 'from the first'), event(stackId, 'another')]);
  sessions[1]!.telemetry(1n, [line(stackId, 'from the second', 'web-2')]);
  await eventually(() => all.records.length === 5 && logs.records.length === 1, deadlineMs);
  assert.equal(all.texts().slice(0, 2), ['less old', 'an event']);
  assert.equal(all.texts().slice(2).sort(), ['another', 'from the first', 'from the second']);
  assert.equal(logs.texts(), ['from the second']);
  for (const session of sessions) await session.end();
  all.stop();
  logs.stop();
});

telemetry('is for those who may see the stack, and ends with it', async () => {
  const [mine, theirs] = await Promise.all(
    ['mine', 'theirs'].map(async (name) => ({ name, pak: (await admin.createGenerator({ name })).pak })),
  );
  const { stackId, name, agent } = await setUp(1, 'theirs');
  await tell(agent, [line(stackId, 'private'), event(stackId, 'private too')]);
  for (const request of [{ stack: name }, { stack: stackId }]) {
    const stranger = test.client(mine!.pak).broker;
    await refused(stranger.listPodLogs(request), Code.NotFound);
    await refused(stranger.listKubernetesEvents(request), Code.NotFound);
    await refused(tail(request, test.url, mine!.pak).ended, Code.NotFound);
  }
  const owner = test.client(theirs!.pak).broker;
  assert.equal(textsOf((await owner.listPodLogs({ stack: name })).records), ['private']);
  const watching = tail({ stack: name }, test.url, theirs!.pak);
  await watching.up();
  await broker.deleteStack({ stack: name });
  await eventually(async () => (await agent.removingStacks()).length === 1);
  await agent.reconcile();
  await watching.ended;
});

telemetry('is tailed for as long as the key lives', async () => {
  const { pak } = await admin.createGenerator({ name: 'short-lived' });
  const own = test.client(pak).broker;
  await own.createStack({ name: 'mine' });
  const watching = tail({ stack: 'mine' }, test.url, pak);
  await watching.up();
  await admin.revokePak({ pak: pak.split('_')[1]!.slice(2) });
  await refused(watching.ended, Code.Unauthenticated);
});

telemetry('of stacks and agents that are gone goes with them', async () => {
  const kept = await setUp(2);
  const gone = await setUp();
  await tell(kept.agents[0]!, [line(kept.stackId, 'stays')]);
  await tell(kept.agents[1]!, [line(kept.stackId, 'goes with its agent')]);
  await tell(gone.agent, [line(gone.stackId, 'goes with its stack')]);
  await admin.deleteAgent({ agent: kept.agents[1]!.name, orphan: true });
  await db.sql('delete from placement where stack_id = $1', [gone.stackId]);
  await db.sql('delete from stack where id = $1', [gone.stackId]);
  assert.ok((await dropOrphanedTelemetry(db)) >= 2);
  const rows = await db.sql<{ text: string }>('select text from telemetry where stack_id = any($1)', [
    [kept.stackId, gone.stackId],
  ]);
  assert.equal(
    rows.map(({ text }) => text),
    ['stays'],
  );
});

telemetry('is forgotten by whole hours, and not shown any longer than it is to be kept', async () => {
  const { stackId, name, agent } = await setUp();
  await makeTelemetrySlices(db);
  assert.is(await makeTelemetrySlices(db), 0, 'once is enough');
  await tell(agent, [line(stackId, 'old'), line(stackId, 'new')]);
  await db.sql(
    `create table telemetry_2020010100 partition of telemetry for values from ('2020-01-01 00:00:00+00') to ('2020-01-01 01:00:00+00')`,
  );
  await db.sql(`update telemetry set received_at = '2020-01-01 00:30:00+00' where text = 'old' and stack_id = $1`, [
    stackId,
  ]);
  assert.equal(await logsOf(name), ['new']);
  await dropOldTelemetry(db, 6 * 3_600_000);
  const [slice] = await db.sql<{ name: string | null }>(`select to_regclass('telemetry_2020010100') as name`);
  assert.is(slice?.name, null);
  assert.equal(await logsOf(name), ['new']);
  await db.sql(`update telemetry set received_at = received_at - interval '5 minutes' where stack_id = $1`, [stackId]);
  await dropOldTelemetry(db, 0);
  assert.equal(await logsOf(name), []);
});

telemetry('waits for a database that is away, and loses nothing', async () => {
  const { stackId, name, agent } = await setUp();
  const sql = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await sql.connect();
  const session = await openSession(test, agent);
  await sql.query('begin');
  await sql.query('lock table telemetry_agent');
  session.telemetry(1n, [line(stackId, 'late')]);
  await sql.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query like '%telemetry_agent%'`,
  );
  await sql.query('rollback');
  await sql.end();
  await eventually(() => session.received === 1n, deadlineMs);
  await session.end();
  assert.equal(await logsOf(name), ['late']);
});

telemetry.run();
