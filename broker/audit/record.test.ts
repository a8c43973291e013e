import { type DescMethod, getOption } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Role, roles } from '../../gen/brokkr/v1/options_pb.ts';
import { refused, startTestBroker } from '../../test/broker.ts';
import { allMethods, type Call, callEveryRpc, performCall } from '../../test/every-rpc.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

/** Reports and questions of agents are records themselves, or need none. */
const unrecorded = new Set([
  'PullTargetState',
  'GetManifests',
  'ReportEvents',
  'ReportHealth',
  'ClaimDiagnostic',
  'CompleteDiagnostic',
  'Heartbeat',
  'Session',
]);
const isRecorded = (method: DescMethod) =>
  method.idempotency !== Idempotency.NO_SIDE_EFFECTS && !unrecorded.has(method.name);

interface Row {
  actor_role: string;
  actor_id: string;
  actor_name: string;
  key_short: string;
  action: string;
  object_kind: string;
  object_id: string;
  object_name: string;
  before_digest: Buffer | null;
  after_digest: Buffer | null;
  source: string;
  request_id: string;
  outcome: string;
  count: number;
}
const rowsAfter = async (id: string) =>
  (await sql.query<Row>('select * from audit where id > $1 order by id', [id])).rows;
/** Without denied calls, which are written a moment late: those of a test before, too. */
const changesAfter = async (id: string) => (await rowsAfter(id)).filter(({ outcome }) => outcome === 'done');
const last = async () =>
  (await sql.query<{ id: string }>('select coalesce(max(id), 0) as id from audit')).rows[0]?.id ?? '0';

const record = suite('the record');
record.after(async () => {
  await sql.end();
  await test.close();
});

/** Whose key makes a call. An enrollment may not ask, so the list of keys is. */
async function callerOf({ caller, client }: Call): Promise<{ id: string; name: string; shortToken: string }> {
  if (caller !== 'enrollment') return client.broker.whoAmI({});
  const { paks } = await admin.listPaks({});
  const token = paks.find(({ role }) => role === Role.ENROLLMENT);
  return { id: token?.id ?? '', name: token?.owner ?? '', shortToken: token?.shortToken ?? '' };
}

const made: Call[] = [];
record('gets exactly one entry from each change, and none from anything else', async () => {
  await callEveryRpc(test, async (call) => {
    made.push(call);
    const before = await last();
    const who = await callerOf(call);
    const answer = await performCall(call);
    const rows = await rowsAfter(before);
    const { name, method, request } = call;
    assert.is(rows.length, isRecorded(method) ? 1 : 0, `${name}: ${JSON.stringify(rows)}`);
    for (const row of rows) {
      assert.is(row.action, method.name);
      assert.equal([row.actor_id, row.actor_name, row.key_short], [who.id, who.name, who.shortToken], name);
      assert.is(row.actor_role, who.shortToken.slice(0, 2));
      assert.is(row.source, '127.0.0.1');
      assert.is(row.request_id, request.requestId ?? '', name);
      assert.is(row.outcome, 'done');
      assert.is(row.count, 1);
      assert.match(
        row.object_kind,
        /^(stack|deployment|target|placement|agent|generator|registration|pak|diagnostic)$/,
      );
      assert.match(row.object_id, /^[0-9a-f-]{36}$/, name);
      assert.ok(row.object_name.length > 0, name);
      assert.ok(row.before_digest?.length === 32 || row.after_digest?.length === 32, `${name} has no digest`);
      if (/^(Update|Pause|Resume|Revoke|Rebind)/.test(method.name))
        assert.not.equal(row.before_digest, row.after_digest, `${name} changed something`);
      if (/^(Delete|Remove|Deregister|Forget)/.test(method.name)) assert.is(row.after_digest, null, name);
      if (/^(Create|Add|Submit|Register)/.test(method.name)) assert.is(row.before_digest, null, name);
    }
    return answer;
  });
});

record('knows every RPC that changes something', () => {
  const changing = [...allMethods.values()].filter(isRecorded).map(({ name }) => name);
  for (const method of allMethods.values()) assert.ok(getOption(method, roles).length > 0, method.name);
  assert.is(changing.length, 31, changing.join(' '));
});

record('gets nothing from a change that is refused', async () => {
  const before = await last();
  // Everything that these are about is gone by now.
  for (const call of made) {
    if (!isRecorded(call.method) || call.method.name.startsWith('Create')) continue;
    const fresh = { ...call, client: test.client(), request: { ...call.request, requestId: `${call.name} again` } };
    const error = await performCall(fresh).then(() => undefined, ConnectError.from);
    // One's own key can be rotated again, and what is revoked may be revoked: both are changes by the contract.
    if (!/R(otate|evoke)Pak$/.test(call.name)) assert.ok(error, call.name);
  }
  await admin.createGenerator({ name: 'twice' });
  await admin.createAgent({ name: 'twice' });
  await broker.createStack({ name: 'twice' });
  for (const again of [
    () => admin.createGenerator({ name: 'twice' }),
    () => admin.createAgent({ name: 'twice' }),
    () => broker.createStack({ name: 'twice' }),
    () => admin.createAdminPak({ name: 'admin' }),
  ])
    await refused(again(), Code.AlreadyExists);
  const rows = await rowsAfter(before);
  assert.equal(
    rows.filter((row) => row.outcome === 'done').map((row) => row.action),
    ['RotatePak', 'RevokePak', 'CreateGenerator', 'CreateAgent', 'CreateStack'],
  );
});

record('gets nothing from a replay or from a dry run', async () => {
  await broker.createStack({ name: 'replayed', requestId: 'one' });
  const before = await last();
  const again = await broker.createStack({ name: 'replayed', requestId: 'one' });
  assert.ok(again.replayed);
  const manifest = Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}');
  await broker.submitDeployment({ stack: 'replayed', manifest, dryRun: true });
  assert.equal(await changesAfter(before), []);
});

record('is written in the transaction of the change: both are there, or neither', async () => {
  await sql.query(`create function fail() returns trigger language plpgsql as $$
    begin if new.request_id = 'fail' then raise exception 'no'; end if; return null; end $$`);
  const { rows } = await sql.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit'::regclass`,
  );
  for (const { name } of rows)
    await sql.query(
      `create constraint trigger fail_late after insert on ${name} deferrable initially deferred for each row execute function fail()`,
    );
  const before = await last();
  await refused(broker.createStack({ name: 'never', requestId: 'fail' }), Code.Internal);
  await refused(broker.getStack({ stack: 'never' }), Code.NotFound);
  assert.equal(await changesAfter(before), []);
});

record('is only ever added to', async () => {
  for (const change of [
    `update audit set actor_name = 'nobody'`,
    'delete from audit',
    'truncate audit',
    `update audit_seal set hash = ''`,
  ])
    await sql.query(change).then(
      () => assert.unreachable(change),
      (error: unknown) => assert.match(String(error), /only ever added/),
    );
});

record('holds no key and no secret', async () => {
  const { rows } = await sql.query<{ text: string }>('select a::text as text from audit a');
  for (const { text } of rows) assert.not.match(text, /brokkr_(ad|ro|ge|ag)[0-9A-Za-z]+_/);
});

record.run();
