import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AuditEntry, AuditOutcome } from '../../gen/brokkr/v1/audit_pb.ts';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import { refused, startTestBroker } from '../../test/broker.ts';
import { networkOf } from '../access/network.ts';
import { openMigrated } from '../open-store.ts';
import { recordOperator } from './operator.ts';

const direct = await startTestBroker();
const proxied = await startTestBroker({ postgres: direct.postgres, config: { trustedProxies: 1 } });
const twice = await startTestBroker({ postgres: direct.postgres, config: { trustedProxies: 2 } });
const { admin, broker } = direct.client();
const { pak } = await admin.createGenerator({ name: 'ci' });
await admin.createAgent({ name: 'edge' });
const ci = direct.client(pak);
for (const name of ['one', 'two', 'three']) await ci.broker.createStack({ name });
await broker.createStack({ name: 'one' });
const { stack } = await ci.broker.getStack({ stack: 'two' });
await ci.broker.deleteStack({ stack: 'two' });
const db = await openMigrated(direct.config);
await recordOperator(db, 'restored');

const list = suite('the list of entries');
list.after(async () => {
  await db.close();
  for (const test of [direct, proxied, twice]) await test.close();
});

type Filter = Parameters<typeof admin.listAuditEntries>[0];
const entriesOf = async (filter: Filter): Promise<AuditEntry[]> => (await admin.listAuditEntries(filter)).entries;
const actionsOf = async (filter: Filter) => (await entriesOf(filter)).map(({ action }) => action);

list('begins with the newest, or with the oldest for an export', async () => {
  const newest = await entriesOf({});
  const oldest = await entriesOf({ oldestFirst: true });
  assert.equal(
    newest.map(({ id }) => id),
    oldest.map(({ id }) => id).reverse(),
  );
  assert.is(newest[0]?.action, 'restored');
  assert.is(oldest[0]?.action, 'first-admin');
  assert.ok(oldest.every((entry, at) => at === 0 || entry.id > (oldest[at - 1]?.id ?? 0n)));
});

list('names who did what to what', async () => {
  const [entry] = await entriesOf({ action: 'DeleteStack' });
  const who = await ci.broker.whoAmI({});
  assert.is(entry?.actor?.role, Role.GENERATOR);
  assert.equal([entry?.actor?.name, entry?.actor?.id, entry?.actor?.shortToken], ['ci', who.id, who.shortToken]);
  assert.equal([entry?.objectKind, entry?.objectId, entry?.object], ['stack', stack?.id, 'ci/two']);
  assert.is(entry?.beforeDigest.length, 32);
  assert.is(entry?.afterDigest.length, 0);
  const [operator] = await entriesOf({ action: 'restored' });
  assert.equal([operator?.actor?.role, operator?.actor?.name], [Role.UNSPECIFIED, 'operator']);
});

list('is filtered by actor, action, kind, object, outcome and time', async () => {
  const creates = ['CreateStack', 'CreateStack', 'CreateStack'];
  const generator = await ci.broker.whoAmI({});
  assert.equal(await actionsOf({ actor: 'ci' }), ['DeleteStack', ...creates]);
  assert.equal(await actionsOf({ actor: generator.id }), ['DeleteStack', ...creates]);
  assert.equal(await actionsOf({ action: 'CreateAgent' }), ['CreateAgent']);
  assert.equal(await actionsOf({ objectKind: 'generator' }), ['CreateGenerator']);
  assert.equal(await actionsOf({ object: 'ci/two' }), ['DeleteStack', 'CreateStack']);
  assert.equal(await actionsOf({ object: stack?.id }), ['DeleteStack', 'CreateStack']);
  assert.equal(await actionsOf({ object: 'system/one', actor: 'admin' }), ['CreateStack']);
  assert.equal(await actionsOf({ actor: 'nobody' }), []);
  assert.equal(await actionsOf({ outcome: AuditOutcome.DENIED }), []);
  assert.is((await actionsOf({ outcome: AuditOutcome.DONE })).length, (await actionsOf({})).length);
  const [first, second, third] = await entriesOf({ oldestFirst: true });
  assert.ok(first?.time && second?.time && third?.time);
  assert.equal(
    (
      await entriesOf({
        oldestFirst: true,
        startTime: second.time,
        endTime: timestampFromDate(new Date(Date.now() + 60_000)),
      })
    ).length,
    (await entriesOf({})).length - 1,
  );
  assert.equal(await actionsOf({ endTime: second.time }), [first.action]);
});

list('comes in pages, each entry once, in both orders, and a token fits its list only', async () => {
  for (const oldestFirst of [true, false]) {
    const all = await entriesOf({ oldestFirst });
    const found: bigint[] = [];
    let pageToken = '';
    do {
      const page = await admin.listAuditEntries({ oldestFirst, pageSize: 2, pageToken });
      assert.ok(page.entries.length <= 2);
      found.push(...page.entries.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.equal(
      found,
      all.map(({ id }) => id),
    );
  }
  const { nextPageToken } = await admin.listAuditEntries({ pageSize: 2 });
  await refused(admin.listAuditEntries({ pageSize: 2, pageToken: nextPageToken, actor: 'ci' }), Code.InvalidArgument);
  const reader = await admin.createAdminPak({ name: 'reader', readOnly: true });
  const other = direct.client(reader.pak).admin;
  assert.ok((await other.listAuditEntries({})).entries.length > 0);
  assert.ok((await other.verifyAudit({})).intact);
  await refused(other.listAuditEntries({ pageSize: 2, pageToken: nextPageToken }), Code.InvalidArgument, 'page_token');
});

/** The source of a change whose call carries this header. */
async function sourceOf(test: typeof direct, forwarded: string | undefined): Promise<string | undefined> {
  const client = test.client(undefined, {
    interceptors: [
      (next) => (request) => {
        if (forwarded !== undefined) request.header.set('x-forwarded-for', forwarded);
        return next(request);
      },
    ],
  });
  await client.admin.createAgent({ name: `a${++agents}` });
  const { entries } = await client.admin.listAuditEntries({ pageSize: 1 });
  return entries[0]?.sourceAddress;
}
let agents = 0;

list('believes X-Forwarded-For only from the proxies that are configured', async () => {
  const forged = '6.6.6.6, 10.0.0.1, 192.0.2.7';
  assert.is(await sourceOf(direct, forged), '127.0.0.1');
  assert.is(await sourceOf(direct, undefined), '127.0.0.1');
  assert.is(await sourceOf(proxied, forged), '192.0.2.7');
  assert.is(await sourceOf(proxied, undefined), '127.0.0.1');
  assert.is(await sourceOf(twice, forged), '10.0.0.1');
  // Too few of them: what is there was not written by the outermost proxy.
  assert.is(await sourceOf(twice, '6.6.6.6'), '127.0.0.1');
  for (const [written, source] of [
    ['192.0.2.7:4711', '192.0.2.7'],
    ['[2001:db8::7]:4711', '2001:db8::7'],
    ['2001:db8::7%anything at all', '2001:db8::7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    // Text that is no address is no source.
    ['x'.repeat(500), '127.0.0.1'],
    ['not an address <b>', '127.0.0.1'],
    ['unknown', '127.0.0.1'],
  ] as const)
    assert.is(await sourceOf(proxied, `6.6.6.6, ${written}`), source, written);
});

list('limits an IPv6 caller by its network', () => {
  for (const address of ['2001:db8::7', '2001:0DB8:0:0:1:2:3:4', '2001:db8::1.2.3.4'])
    assert.is(networkOf(address), '2001:db8:0:0::/64');
  assert.is(networkOf('::1'), '0:0:0:0::/64');
  assert.is(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.is(networkOf('192.0.2.7'), '192.0.2.7');
  assert.is(networkOf(''), '');
});

list.run();
