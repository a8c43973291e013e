import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { assertNoKeys } from '../../test/no-keys.ts';
import { makePak } from '../access/pak.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const enrollment = suite('enrollment');
enrollment.after(async () => {
  await sql.end();
  await test.close();
});

const mine = Buffer.alloc(32, 1);
const another = Buffer.alloc(32, 2);
let names = 0;
const newName = () => `edge-${++names}`;
const invite = async (name = newName()) => ({ name, ...(await admin.createEnrollment({ name })) });
const enroll = (pak: string, nonce = mine, url = test.url) => test.client(pak, { url }).agent.enroll({ nonce });
const works = (pak: string) => test.client(pak).broker.whoAmI({});

enrollment('makes the agent that was described, with its key, and says so in the record', async () => {
  const name = newName();
  await admin.createGenerator({ name: 'shop' });
  const { pak, info } = await admin.createEnrollment({
    name,
    description: 'in the north',
    labels: ['edge'],
    annotations: { region: 'north' },
    generators: ['shop'],
  });
  assert.match(pak, /^brokkr_en/);
  assert.equal([info?.role, info?.owner], [Role.ENROLLMENT, name]);
  await refused(admin.getAgent({ agent: name }), Code.NotFound);
  const { agent, pak: key } = await enroll(pak);
  assert.match(key, /^brokkr_ag/);
  assert.equal(
    [agent?.name, agent?.description, agent?.labels, agent?.annotations, agent?.generators],
    [name, 'in the north', ['edge'], { region: 'north' }, ['shop', 'system']],
  );
  assert.is((await works(key)).name, name);
  const { entries } = await admin.listAuditEntries({ object: name });
  assert.equal(
    entries.map(({ action, actor }) => [action, actor?.role, actor?.name, actor?.shortToken]),
    [['Enroll', Role.ENROLLMENT, name, info?.shortToken]],
  );
  const made = await admin.listAuditEntries({ action: 'CreateEnrollment', object: info?.id });
  assert.is(made.entries.length, 1);
});

enrollment('is good for Enroll alone', async () => {
  const { pak } = await invite();
  const { broker, agent, admin: asAdmin } = test.client(pak);
  for (const call of [
    broker.whoAmI({}),
    broker.rotatePak({}),
    broker.listStacks({}),
    agent.getSelf({}),
    agent.startAgent({ clusterId: 'cluster' }),
    asAdmin.createEnrollment({ name: 'more' }),
  ])
    await refused(call, Code.PermissionDenied, 'a key of role enrollment may not call');
});

enrollment('is used once: another caller with the token is refused, and told that it was used', async () => {
  const { pak, name } = await invite();
  const { pak: key } = await enroll(pak);
  await refused(enroll(pak, another), Code.FailedPrecondition, `the enrollment of agent "${name}" was used`);
  await works(key);
});

enrollment('lets one of many win that come at once, at two brokers', async () => {
  const { pak, name } = await invite();
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      enroll(pak, Buffer.alloc(32, index), test.urls[index % 2]).catch(ConnectError.from),
    ),
  );
  const won = answers.filter((answer) => !(answer instanceof ConnectError));
  assert.is(won.length, 1);
  for (const answer of answers)
    if (answer instanceof ConnectError) assert.is(Code[answer.code], 'FailedPrecondition', answer.message);
  assert.is((await admin.listPaks({ owner: name })).paks.filter(({ role }) => role === Role.AGENT).length, 1);
});

enrollment('answers the same caller again with another key, and ends the one whose answer was lost', async () => {
  const { pak } = await invite();
  const lost = await enroll(pak);
  const again = await enroll(pak);
  assert.is(again.agent?.id, lost.agent?.id);
  assert.is.not(again.pak, lost.pak);
  await refused(works(lost.pak), Code.Unauthenticated);
  await works(again.pak);
});

enrollment('leaves one key that works when the same caller asks twice at once', async () => {
  const { pak, name } = await invite();
  const both = await Promise.all([enroll(pak), enroll(pak, mine, test.urls[1])]);
  const live = (await admin.listPaks({ owner: name })).paks.filter(({ role }) => role === Role.AGENT);
  assert.is(live.length, 1);
  const good = both.filter(({ pak: key }) => key.startsWith(`brokkr_${live[0]?.shortToken}_`));
  assert.is(good.length, 1);
  await works(good[0]?.pak ?? '');
});

enrollment('is over when the agent has started', async () => {
  const { pak } = await invite();
  const { pak: key } = await enroll(pak);
  await test.client(key).agent.startAgent({ clusterId: 'cluster' });
  await eventually(async () => refused(enroll(pak), Code.Unauthenticated));
  await works(key);
});

enrollment('gives no key of an agent that has started, even before its token has ended everywhere', async () => {
  const { pak, info } = await invite();
  const { pak: key } = await enroll(pak);
  await test.client(key).agent.startAgent({ clusterId: 'cluster' });
  await sql.query('update pak set revoked_at = null where id = $1', [info?.id]);
  await sql.query(`insert into change (kind, ref) values ('key', $1)`, [info?.id]);
  await eventually(async () => refused(enroll(pak), Code.FailedPrecondition, 'was used'));
  await works(key);
});

enrollment('stays used when its agent was deleted', async () => {
  const { pak, name } = await invite();
  await enroll(pak);
  await admin.deleteAgent({ agent: name });
  await refused(enroll(pak), Code.FailedPrecondition, 'was used');
  await refused(admin.getAgent({ agent: name }), Code.NotFound);
});

enrollment('ends after its time, an hour unless it was said', async () => {
  const hour = await invite();
  const leftMs = Number(hour.info?.expireTime?.seconds) * 1_000 - Date.now();
  assert.ok(leftMs > 55 * 60_000 && leftMs <= 61 * 60_000, String(leftMs));
  for (const seconds of [59n, 86_401n])
    await refused(admin.createEnrollment({ name: newName(), ttl: { seconds } }), Code.InvalidArgument, 'ttl');
  const short = await admin.createEnrollment({ name: newName(), ttl: { seconds: 60n } });
  await sql.query(`update pak set expires_at = now() - interval '1 second' where id = $1`, [short.info?.id]);
  await refused(enroll(short.pak), Code.Unauthenticated, 'the key is not valid');
});

enrollment('ends when an admin revokes it, and when another is made for the name', async () => {
  const { pak, info } = await invite();
  await admin.revokePak({ pak: info?.shortToken });
  await refused(enroll(pak), Code.Unauthenticated);
  const first = await invite();
  const second = await admin.createEnrollment({ name: first.name });
  await refused(enroll(first.pak), Code.Unauthenticated);
  await enroll(second.pak);
});

enrollment('is refused for a name that is taken, and for a generator that is not there', async () => {
  const name = newName();
  await admin.createAgent({ name });
  await refused(admin.createEnrollment({ name }), Code.AlreadyExists, `agent "${name}" exists`);
  await refused(admin.createEnrollment({ name: 'other', generators: ['nobody'] }), Code.NotFound, 'nobody');
  const raced = await invite();
  await admin.createAgent({ name: raced.name });
  await refused(enroll(raced.pak), Code.AlreadyExists, `agent "${raced.name}" exists`);
});

enrollment('answers a repeated request without the token', async () => {
  const request = { requestId: 'r1', name: newName() };
  const first = await admin.createEnrollment(request);
  const again = await admin.createEnrollment(request);
  assert.equal([again.pak, again.replayed, again.info?.id], ['', true, first.info?.id]);
  await enroll(first.pak);
});

enrollment('slows down those who guess tokens, as with other keys', async () => {
  const guesses = Array.from({ length: 80 }, () => enroll(makePak('en').text).catch(ConnectError.from));
  const codes = new Set<string>();
  for (const guess of guesses)
    void guess.then((answer) => codes.add(answer instanceof ConnectError ? (Code[answer.code] ?? '') : 'OK'));
  await eventually(() => codes.has('ResourceExhausted'), 60_000);
  await Promise.all(guesses);
  assert.equal([...codes].sort(), ['ResourceExhausted', 'Unauthenticated']);
  await enroll((await invite()).pak);
});

enrollment('wants a nonce that nobody guesses', async () => {
  const { pak } = await invite();
  await refused(enroll(pak, Buffer.alloc(15)), Code.InvalidArgument, 'nonce');
});

enrollment('stores no token, no key and no nonce, and logs none', async () => {
  const { pak } = await invite();
  const { pak: key } = await enroll(pak);
  const { rows } = await sql.query<{ text: string }>(
    `select (select string_agg(to_jsonb(p)::text, '') from pak p) || (select string_agg(to_jsonb(e)::text, '') from enrollment e) as text`,
  );
  for (const secret of [pak, key, pak.slice(-49), key.slice(-49), mine.toString('hex')])
    assert.not.ok(rows[0]?.text.includes(secret));
  assertNoKeys(test.logged);
});

enrollment.run();
