import { Code, type ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { refused, startTestBroker } from '../../test/broker.ts';
import { assertNoKeys } from '../../test/no-keys.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin, broker } = test.client();
const elsewhere = test.client(undefined, { url: test.urls[1] });
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const one = test.client((await admin.createGenerator({ name: 'one' })).pak);
const two = test.client((await admin.createGenerator({ name: 'two' })).pak);
let ids = 0;
const newId = () => `id-${++ids}`;
const reasonOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0]?.reason;
const fieldOf = (error: ConnectError) => error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field;

const repeats = suite('repeated requests');
repeats.after(async () => {
  await sql.end();
  await test.close();
});

repeats('get the same answer from any broker, and run once', async () => {
  const request = { requestId: newId(), name: 'web', labels: ['a'], annotations: { x: '1', y: '2' } };
  const first = await broker.createStack(request);
  assert.is(first.replayed, false);
  for (const again of [broker, elsewhere.broker]) {
    const answer = await again.createStack({ ...request, annotations: { y: '2', x: '1' } });
    assert.is(answer.replayed, true);
    assert.equal(answer.stack, first.stack);
  }
  const submission = { requestId: newId(), stack: 'web', manifest: configMap('a'), message: 'first' };
  const submitted = await broker.submitDeployment(submission);
  await broker.submitDeployment({ stack: 'web', manifest: configMap('b') });
  const repeated = await elsewhere.broker.submitDeployment(submission);
  assert.is(repeated.replayed, true);
  assert.equal(repeated.deployment, submitted.deployment);
  assert.equal(repeated.changes, submitted.changes);
  assert.is((await broker.getStack({ stack: 'web' })).stack?.revision, 2);
  const rollback = { requestId: newId(), stack: 'web' };
  const back = await broker.rollbackStack(rollback);
  assert.equal((await broker.rollbackStack(rollback)).deployment, back.deployment);
  assert.is((await broker.getStack({ stack: 'web' })).stack?.revision, 3);
});

repeats('never return a secret again', async () => {
  const mine = test.client((await admin.createGenerator({ name: 'mine' })).pak);
  const calls: readonly ((requestId: string) => Promise<{ pak: string; replayed: boolean }>)[] = [
    (requestId) => admin.createAgent({ requestId, name: 'edge' }),
    (requestId) => admin.createGenerator({ requestId, name: 'ci' }),
    (requestId) => admin.createAdminPak({ requestId, name: 'second' }),
    (requestId) => admin.rotateAgentPak({ requestId, agent: 'edge' }),
    (requestId) => admin.rotateGeneratorPak({ requestId, generator: 'ci' }),
    (requestId) => mine.broker.rotatePak({ requestId }),
  ];
  const secrets: string[] = [];
  for (const call of calls) {
    const requestId = newId();
    const first = await call(requestId);
    assert.match(first.pak, /^brokkr_/);
    secrets.push(first.pak);
    assert.equal([(await call(requestId)).pak, (await call(requestId)).replayed], ['', true]);
    await test.client(first.pak).broker.whoAmI({});
  }
  const { rows } = await sql.query<{ answer: Buffer }>('select answer from request');
  assert.ok(rows.length >= calls.length);
  assertNoKeys(rows.map(({ answer }) => answer.toString('latin1')));
});

repeats('that differ are refused, and change nothing', async () => {
  const requestId = newId();
  await one.broker.createStack({ requestId, name: 'a' });
  for (const request of [{ name: 'b' }, { name: 'a', labels: ['x'] }, { name: 'a', annotations: { x: '1' } }]) {
    const error = await refused(one.broker.createStack({ requestId, ...request }), Code.AlreadyExists, requestId);
    assert.equal([reasonOf(error), fieldOf(error)], ['REQUEST_ID_REUSED', 'request_id']);
  }
  assert.is((await one.broker.listStacks({})).stacks.length, 1);
  // The error for a taken name differs from the one for a reused id.
  assert.is(reasonOf(await refused(one.broker.createStack({ name: 'a' }), Code.AlreadyExists)), 'NAME_TAKEN');
});

repeats('of another principal or another method are separate requests', async () => {
  const requestId = newId();
  const first = await one.broker.createStack({ requestId, name: 'same' });
  const second = await two.broker.createStack({ requestId, name: 'same' });
  assert.is(second.replayed, false);
  assert.is.not(second.stack?.id, first.stack?.id);
  const submitted = await one.broker.submitDeployment({ requestId, stack: 'same', manifest: configMap('a') });
  assert.is(submitted.replayed, false);
});

repeats('at the same time wait for each other', async () => {
  for (let round = 0; round < 5; round += 1) {
    const request = { requestId: newId(), name: `twin${round}` };
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, at) => (at % 2 ? elsewhere : test.client()).broker.createStack(request)),
    );
    assert.is(answers.filter(({ replayed }) => !replayed).length, 1);
    assert.is(new Set(answers.map(({ stack }) => stack?.id)).size, 1);
  }
});

repeats('of a failed request run again', async () => {
  const requestId = newId();
  const request = { requestId, stack: 'later', manifest: configMap('a') };
  await refused(broker.submitDeployment(request), Code.NotFound);
  await broker.createStack({ name: 'later' });
  assert.is((await broker.submitDeployment(request)).replayed, false);
  assert.is((await broker.submitDeployment(request)).replayed, true);
});

repeats('of a dry run leave nothing behind', async () => {
  const request = { requestId: newId(), stack: 'later', manifest: configMap('dry') };
  assert.is((await broker.submitDeployment({ ...request, dryRun: true })).deployment, undefined);
  const stored = await broker.submitDeployment(request);
  assert.equal([stored.replayed, stored.unchanged], [false, false]);
});

repeats('with a stale etag are refused', async () => {
  const { stack } = await broker.createStack({ name: 'tagged' });
  const { stack: next } = await broker.updateStack({ stack: 'tagged', etag: stack?.etag, addLabels: ['a'] });
  assert.is.not(next?.etag, stack?.etag);
  for (const call of [
    () => broker.updateStack({ stack: 'tagged', etag: stack?.etag, addLabels: ['b'] }),
    () => broker.deleteStack({ stack: 'tagged', etag: stack?.etag }),
  ])
    assert.is(reasonOf(await refused(call(), Code.Aborted)), 'ETAG_MISMATCH');
  const { agent } = await admin.createAgent({ name: 'tagged' });
  await admin.updateAgent({ agent: 'tagged', addLabels: ['z'] });
  await refused(admin.updateAgent({ agent: 'tagged', etag: agent?.etag, addLabels: ['b'] }), Code.Aborted);
  await refused(admin.deleteAgent({ agent: 'tagged', etag: agent?.etag }), Code.Aborted);
  const { generator } = await admin.createGenerator({ name: 'tagged' });
  const change = { generator: 'tagged', description: 'new', updateMask: { paths: ['description'] } };
  await admin.updateGenerator(change);
  await refused(admin.updateGenerator({ ...change, etag: generator?.etag }), Code.Aborted);
  await refused(admin.deleteGenerator({ generator: 'tagged', etag: generator?.etag }), Code.Aborted);
  assert.equal((await broker.getStack({ stack: 'tagged' })).stack, next);
  await broker.deleteStack({ stack: 'tagged', etag: next?.etag });
});

repeats('with a page token of another list, filter or caller are refused', async () => {
  for (const name of ['p1', 'p2', 'p3']) {
    await one.broker.createStack({ name });
    await two.broker.createStack({ name });
  }
  const seen: string[] = [];
  let pageToken = '';
  do {
    const page = await one.broker.listStacks({ pageSize: 2, pageToken });
    assert.ok(page.stacks.length <= 2);
    seen.push(...page.stacks.map((stack) => stack.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  assert.equal(seen, [...new Set(seen)].sort());
  const { nextPageToken } = await one.broker.listStacks({ pageSize: 2 });
  for (const call of [
    () => two.broker.listStacks({ pageSize: 2, pageToken: nextPageToken }),
    () => broker.listStacks({ pageSize: 2, pageToken: nextPageToken }),
    () => one.broker.listStacks({ pageSize: 2, pageToken: nextPageToken, showDeleted: true }),
    () => one.broker.listDeployments({ pageToken: nextPageToken }),
    () => one.broker.listPlacements({ pageToken: nextPageToken }),
  ])
    assert.is(fieldOf(await refused(call(), Code.InvalidArgument, 'page_token')), 'page_token');
});

repeats('are logged without keys', () => assertNoKeys(test.logged));

repeats.run();

function configMap(name: string): Uint8Array {
  return Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }));
}
