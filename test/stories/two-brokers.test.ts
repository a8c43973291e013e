import type { Client } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { type PullTargetStateResponse, SessionHint, TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import { eventually, startTestBroker } from '../broker.ts';

const test = await startTestBroker({ brokers: 2 });
const here = test.client();
const there = test.client(undefined, { url: test.urls[1] });
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

/** Longer than any test lasts: only a notification ends such waits in time. */
const waitSeconds = 280n;
const wokenWithinMs = 15_000;

const created = await here.admin.createAgent({ name: 'edge', labels: ['edge'] });
const agent = test.client(created.pak, { url: test.urls[1], timeoutMs: 290_000 }).agent;
const { incarnation } = await agent.startAgent({ clusterId: 'cluster' });
await here.broker.createStack({ name: 'web', labels: ['edge'] });

const story = suite('two brokers on one database');
story.after(async () => {
  await sql.end();
  await test.close();
});

let revisions = 0;
const submit = () => here.broker.submitDeployment({ stack: 'web', manifest: configMap(`${++revisions}`) });

story('a submit on one ends a long poll at the other', async () => {
  const { woken } = await waitingPoll();
  await submit();
  assert.is(await revisionOf(woken), revisions);
});

story('a submit on one reaches a session at the other', async () => {
  await using session = await openSession(agent);
  await submit();
  assert.is(await session.hint(), SessionHint.TARGET_STATE_CHANGED);
});

story('after the listening connections were cut, the next submit notifies both kinds', async () => {
  const { woken } = await waitingPoll();
  await using session = await openSession(agent);
  assert.is(await cutListeners(), 2, 'each broker listens on one connection');
  await submit();
  assert.is(await revisionOf(woken), revisions);
  assert.is(await session.hint(), SessionHint.TARGET_STATE_CHANGED);
  await eventually(async () => (await listeners()) === 2);
});

story('a submit while a listening connection is down notifies too', async () => {
  const { woken } = await waitingPoll();
  const cut = cutListeners();
  await Promise.all([cut, submit()]);
  assert.is(await revisionOf(woken), revisions);
});

story('a change whose NOTIFY is lost notifies at the next read of the feed', async () => {
  const { woken } = await waitingPoll();
  await using session = await openSession(agent);
  // Writes what a submit writes, without the NOTIFY.
  await sql.query('begin');
  await sql.query(`update agent set paused = true where name = 'edge'`);
  await sql.query(`insert into change (kind, ref) values ('agent', $1)`, [created.agent?.id]);
  await sql.query('commit');
  assert.is((await woken).kind, TargetStateKind.PAUSED);
  assert.is(await session.hint(), SessionHint.TARGET_STATE_CHANGED);
  await here.admin.resumeAgent({ agent: 'edge' });
});

story('a change that commits after a later one is not lost', async () => {
  const late = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await late.connect();
  try {
    await late.query('begin');
    await late.query(`insert into change (kind, ref) values ('agent', $1)`, [created.agent?.id]);
    await late.query(`update agent set paused = true where name = 'edge'`);
    // Later changes commit, and both brokers read them, while the earlier one is still open.
    await here.broker.createStack({ name: 'other' });
    await there.broker.createStack({ name: 'another' });
    const { woken } = await waitingPoll();
    await late.query('commit');
    assert.is((await woken).kind, TargetStateKind.PAUSED);
  } finally {
    await late.end();
    await here.admin.resumeAgent({ agent: 'edge' });
  }
});

story('the same holds in the other direction', async () => {
  const mirrored = test.client(created.pak, { url: test.urls[0], timeoutMs: 290_000 }).agent;
  const { woken } = await waitingPoll(mirrored);
  await there.broker.submitDeployment({ stack: 'web', manifest: configMap(`${++revisions}`) });
  assert.is(await revisionOf(woken), revisions);
});

story.run();

/** Starts a long poll that waits at its broker, since the digest that it carries is current. */
async function waitingPoll(from: Client<typeof AgentService> = agent) {
  const { digest } = await from.pullTargetState({ incarnation });
  const unchanged = await from.pullTargetState({ incarnation, digest });
  assert.is(unchanged.kind, TargetStateKind.UNCHANGED);
  const poll = from.pullTargetState({ incarnation, digest, wait: { seconds: waitSeconds } });
  return { woken: withinDeadline(poll, 'the long poll') };
}

async function revisionOf(poll: Promise<PullTargetStateResponse>): Promise<number | undefined> {
  const answer = await poll;
  return answer.entries.find((entry) => entry.stack === 'web')?.revision;
}

async function openSession(from: Client<typeof AgentService>) {
  const ended = Promise.withResolvers<void>();
  const stream = from.session(
    (async function* () {
      yield { message: { case: 'hello' as const, value: { incarnation } } };
      await ended.promise;
    })(),
  );
  const answers = stream[Symbol.asyncIterator]();
  const hint = async () => (await withinDeadline(answers.next(), 'the session')).value?.hint;
  assert.is(await hint(), SessionHint.READY);
  return {
    hint,
    async [Symbol.asyncDispose]() {
      ended.resolve();
      for (let next = await answers.next(); !next.done; next = await answers.next());
    },
  };
}

/** The connections on which brokers follow the change feed. */
const listening = `pid <> pg_backend_pid() and (query like '%left join change%' or query like 'listen brokkr_%')`;

async function listeners(): Promise<number> {
  return (await sql.query(`select from pg_stat_activity where ${listening}`)).rows.length;
}

async function cutListeners(): Promise<number> {
  return (await sql.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${listening}`)).rows.length;
}

function withinDeadline<T>(work: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} was not woken in time`)), wokenWithinMs);
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

function configMap(value: string): Uint8Array {
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: 'default' },
    data: { value },
  };
  return Buffer.from(JSON.stringify(object));
}
