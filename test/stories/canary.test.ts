import { randomBytes } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makePak } from '../../broker/access/pak.ts';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { startTestAgent } from '../agents.ts';
import { eventually, startTestBroker } from '../broker.ts';
import { answerOf, type Call, everyMethod, makeEveryCall } from '../every-call.ts';
import { openSession } from '../sessions.ts';

/**
 * Must not appear in any log, error, record or metric: keys of callers, the key of the database, and contents of
 * Secrets.
 */
const secret = 'canary-b7Kq2ZsecretXw9';
const encoded = Buffer.from(secret).toString('base64');
const encryptionKey = randomBytes(32);
const test = await startTestBroker({ brokers: 2, config: { encryptionKeys: [encryptionKey] } });
const { admin, broker } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const story = suite('secrets');
story.after(async () => {
  await sql.end();
  await test.close();
});

const errors: string[] = [];
const paks: string[] = [test.adminPak];
const caught = (error: unknown) => {
  const { message, stack = '', details, metadata } = ConnectError.from(error);
  const told = details.map((detail) =>
    'value' in detail ? `${Buffer.from(detail.value as Uint8Array).toString('latin1')} ${JSON.stringify(detail)}` : '',
  );
  errors.push([message, stack, ...told, ...[...metadata].flat()].join('\n'));
  return undefined;
};
const secretManifest = (revision: number) =>
  Buffer.from(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default' },
      data: { password: encoded },
      stringData: { password: secret, revision: String(revision) },
    }),
  );

story('pass through every RPC, with success and without', async () => {
  const calls: Call[] = [];
  paks.push(
    ...(await makeEveryCall(
      test,
      async (call) => {
        calls.push(call);
        return answerOf(call);
      },
      { manifest: secretManifest },
    )),
  );
  const { pak } = await admin.createGenerator({ name: 'stranger' });
  const unknown = makePak('ad').text;
  paks.push(pak, unknown);
  // Call again after everything is deleted; as other callers; without a key; with keys in place of names and ids.
  for (const call of calls) {
    const service = call.name.split('/')[0];
    // Rotating its own key would revoke the one that the caller uses.
    if (call.name === 'BrokerService/RotatePak') continue;
    // After ten attempts with an unknown key the caller is throttled.
    const strangers = errors.length < 30 ? [test.client(pak), test.client(unknown)] : [test.client(pak)];
    for (const client of [test.client(), ...strangers, call.client]) await answerOf({ ...call, client }).catch(caught);
    const fields = everyMethod.get(call.name)?.input.fields ?? [];
    for (const field of fields) {
      if (field.fieldKind !== 'scalar' || field.scalar !== 9) continue;
      // Users mistake a key for another value; names are public, and may be repeated.
      const request = { ...call.request, [field.localName]: pak };
      const client = service === 'AgentService' ? call.client : test.client();
      await answerOf({ ...call, client, request }).catch(caught);
    }
  }
  assert.ok(errors.length > 200, String(errors.length));
});

story('pass through everything that an agent reports', async () => {
  const agent = await startTestAgent(test, { name: 'talker', labels: ['talked'] });
  const { agent: service } = agent.client;
  const { pak } = agent;
  paks.push(pak);
  const { stack } = await broker.createStack({ name: 'talked-of', labels: ['talked'] });
  await broker.submitDeployment({ stack: 'talked-of', manifest: secretManifest(0) });
  const { stackId, deploymentId, checksum, generation } = await eventually(() =>
    agent.entry('talked-of').catch(() => undefined),
  );
  // The version field is too short for a whole key, and the remaining fields for any part of it.
  const { incarnation } = await service.startAgent({ clusterId: agent.clusterId, version: pak.slice(0, 63) });
  const object = { apiVersion: 'v1', kind: 'Secret', namespace: 'default', name: pak };
  const told = { stackId, deploymentId, generation, message: pak };
  await service.reportEvents({
    incarnation,
    events: [
      {
        ...told,
        sequence: 1n,
        checksum: Buffer.from(checksum).toString('hex'),
        outcome: Outcome.FAILED,
        objects: [{ object, action: ObjectAction.CREATED, fields: [`data.${pak}`], message: pak }],
      },
    ],
  });
  const health = Health.DEGRADED;
  await service.reportHealth({
    incarnation,
    stacks: [{ ...told, health, objects: [{ object, health, message: pak }], objectCount: 1 }],
  });
  const { diagnostic: asked } = await broker.requestDiagnostic({ stack: 'talked-of', agent: 'talker' });
  await service.claimDiagnostic({ incarnation });
  const report = { objects: [{ object, yaml: `key: ${pak}` }], notes: [pak] };
  await service.completeDiagnostic({ incarnation, id: asked?.id ?? '', report });
  const session = await openSession(test, { ...agent, incarnation });
  session.telemetry(1n, [
    {
      stackId,
      item: { case: 'line', value: { namespace: 'default', pod: pak, container: pak.slice(0, 63), line: pak } },
    },
    { stackId, item: { case: 'event', value: { object, type: 'Normal', reason: pak, message: pak, source: pak } } },
  ]);
  await eventually(() => session.received === 1n, 30_000);
  await session.end();
  const name = { stack: stack?.id ?? '' };
  for (const answer of [
    await broker.getDiagnostic({ id: asked?.id ?? '' }),
    await broker.listPodLogs(name),
    await broker.listKubernetesEvents(name),
    await broker.listEvents(name),
  ]) {
    const text = JSON.stringify(answer, plain);
    assert.match(text, '<a key>');
    assertClean(text, answer.$typeName);
  }
});

story('pass through refused submissions', async () => {
  await broker.createStack({ name: 'bad' });
  await broker.submitDeployment({ stack: 'bad', manifest: secretManifest(0) });
  const head = 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n';
  // An unknown tag or alias is named: it belongs to the document's grammar, not to its contents.
  for (const text of [
    `${head}stringData:\n  password: "${secret}\n`,
    `${head}stringData:\n  password: ${secret}\n  password: ${secret}\n`,
    `${head}stringData: [${secret}\n`,
    `${head}stringData:\n\tpassword: ${secret}\n`,
    `${head}stringData:\n  password: ${secret}\n bad indent: ${secret}\n`,
    `${head}data:\n  password: ${encoded}\n---\n${secret}\n`,
    `${secret}\n`,
    `"${secret}": {}\n`,
    JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: secret }).slice(0, -1),
    `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"a":"${secret}\\ud800"}}`,
    `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"a":"${secret}\\u0000"}}`,
  ])
    for (const dryRun of [true, false])
      await broker.submitDeployment({ stack: 'bad', manifest: Buffer.from(text), dryRun }).catch(caught);
  const changed = await broker.submitDeployment({ stack: 'bad', manifest: secretManifest(1), dryRun: true });
  assert.not.match(JSON.stringify(changed.changes, plain), secret);
  // The database refuses in the middle of the work.
  await sql.query(`create function fail() returns trigger language plpgsql as $$
    begin raise exception 'the row % fails', new; end $$`);
  await sql.query('create trigger fail before insert on deployment for each row execute function fail()');
  await broker.submitDeployment({ stack: 'bad', manifest: secretManifest(2) }).catch(caught);
  await sql.query('drop trigger fail on deployment');
  await sql.query('create trigger fail before insert on manifest for each row execute function fail()');
  await broker.submitDeployment({ stack: 'bad', manifest: secretManifest(3) }).catch(caught);
  await sql.query('drop trigger fail on manifest');
  await sql.query('create trigger fail before insert on pak for each row execute function fail()');
  await admin.createAgent({ name: 'never' }).catch(caught);
  await sql.query('drop trigger fail on pak');
});

story('are in no error', () => {
  for (const error of errors) assertClean(error, 'an error');
});

story('are in no line of the log', async () => {
  await eventually(() => test.logged.length > 0);
  for (const line of test.logged) assertClean(line, 'the log');
});

story('are in no entry of the record, and in no other row', async () => {
  await eventually(async () => (await sql.query(`select from audit where outcome = 'denied'`)).rows.length > 0);
  const { rows: tables } = await sql.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'`,
  );
  assert.ok(tables.length > 15);
  for (const { name } of tables) {
    const { rows } = await sql.query<{ text: string }>(`select t::text as text from "${name}" t`);
    for (const { text } of rows) assertClean(text, name);
  }
  const { entries } = await admin.listAuditEntries({ pageSize: 500 });
  assertClean(JSON.stringify(entries, plain), 'the list of entries');
});

story('are in no metric', async () => {
  for (const running of test.brokers) assertClean(await (await fetch(running.metricsUrl)).text(), 'metrics');
});

story('are in no list that shows keys', async () => {
  const { paks: listed } = await admin.listPaks({ showEnded: true, pageSize: 500 });
  assert.ok(listed.length > 5);
  assertClean(JSON.stringify(listed, plain), 'the list of keys');
});

story('leave the broker whole: what was refused was no defect', () => {
  const codes = errors.filter((error) => error.startsWith(`[${Code[Code.Internal]?.toLowerCase()}]`));
  // The three calls that the database was made to refuse.
  assert.is(codes.length, 3, codes.join('\n'));
});

story.run();

function assertClean(text: string, where: string): void {
  const lower = text.toLowerCase();
  for (const word of [secret, encoded]) {
    assert.not.ok(text.includes(word), `${where} has a Secret’s content: ${text.slice(0, 300)}`);
    assert.not.ok(lower.includes(Buffer.from(word).toString('hex')), `${where} has a Secret's content as hex`);
  }
  for (const pak of paks) {
    const [, , hidden = pak] = pak.split('_');
    assert.not.ok(text.includes(hidden), `${where} has a key's secret`);
    assert.not.ok(lower.includes(Buffer.from(hidden).toString('hex')), `${where} has a key's secret as hex`);
  }
  for (const form of ['hex', 'base64', 'base64url'] as const)
    assert.not.ok(text.includes(encryptionKey.toString(form)), `${where} has the database's key`);
}

function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}
