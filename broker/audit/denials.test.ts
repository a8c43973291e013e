import { Code } from '@connectrpc/connect';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectBroker } from '../../client/client.ts';
import { AuditOutcome } from '../../gen/brokkr/v1/audit_pb.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { makePak } from '../access/pak.ts';
import { openMigrated } from '../open-store.ts';
import { createDenials } from './denials.ts';
import { type Actor, nobody } from './rules.ts';

const test = await startTestBroker();
const { admin } = test.client();
const db = await openMigrated(test.config);
const lines: string[] = [];
const log = pino({}, { write: (line) => void lines.push(line) });

const denials = suite('denied calls');
denials.after(async () => {
  await db.close();
  await test.close();
});

interface Row {
  readonly actor_name: string;
  readonly action: string;
  readonly source: string;
  readonly code: string;
  readonly count: number;
}
const rowsOf = (source: string) =>
  db.sql<Row>(
    `select actor_name, action, source, code, count from audit where source = $1 and outcome = 'denied' order by id`,
    [source],
  );
const denied = (source: string, more: { actor?: Actor; method?: string; code?: string } = {}) => ({
  actor: nobody,
  method: 'GetStack',
  code: 'Unauthenticated',
  source,
  ...more,
});

denials('are written one by one up to ten of a source, then counted until the minute is over', async () => {
  let now = 0;
  const notes = createDenials(db, log, () => now);
  for (let at = 0; at < 35; at += 1) notes.note(denied('s1'));
  for (let at = 0; at < 3; at += 1) notes.note(denied('s2'));
  await eventually(async () => (await rowsOf('s2')).length === 3);
  assert.equal(
    (await rowsOf('s1')).map(({ count }) => count),
    Array(10).fill(1),
  );
  now = 59_000;
  notes.note(denied('s1'));
  now = 60_000;
  await eventually(async () => (await rowsOf('s1')).length === 11);
  assert.is((await rowsOf('s1')).at(-1)?.count, 26);
  // The next minute begins anew.
  notes.note(denied('s1'));
  await eventually(async () => (await rowsOf('s1')).length === 12);
  await notes.close();
});

denials('are all written when the broker closes', async () => {
  const notes = createDenials(db, log, () => 0);
  for (let at = 0; at < 12; at += 1) notes.note(denied('s3'));
  await notes.close();
  assert.is(
    (await rowsOf('s3')).reduce((sum, { count }) => sum + count, 0),
    12,
  );
});

denials('that are counted name only what they have in common', async () => {
  const notes = createDenials(db, log, () => 0);
  const actor: Actor = { role: 'ge', id: null, name: 'ci', shortToken: 'ge1' };
  for (let at = 0; at < 10; at += 1) notes.note(denied('s4'));
  for (let at = 0; at < 10; at += 1) notes.note(denied('s5'));
  for (const method of ['DeleteStack', 'DeleteStack']) notes.note(denied('s4', { actor, method }));
  for (const method of ['DeleteStack', 'DeleteAgent']) notes.note(denied('s5', { method, code: 'PermissionDenied' }));
  notes.note(denied('s5', { actor, method: 'DeleteAgent', code: 'PermissionDenied' }));
  await notes.close();
  const common = { source: 's4', code: 'Unauthenticated', count: 2 };
  assert.equal((await rowsOf('s4')).at(-1), { actor_name: 'ci', action: 'DeleteStack', ...common });
  assert.equal((await rowsOf('s5')).at(-1), {
    actor_name: '',
    action: '',
    source: 's5',
    code: 'PermissionDenied',
    count: 3,
  });
});

denials('of more sources than are told apart are counted together', async () => {
  const notes = createDenials(db, log, () => 0);
  for (let at = 0; at < 10_100; at += 1) notes.note(denied(`many-${at}`));
  await notes.close();
  const [sum] = await db.sql<{ count: number; sources: number }>(
    `select sum(count)::int as count, count(distinct source)::int as sources from audit where source like 'many-%' or source = 'others'`,
  );
  assert.ok(sum);
  assert.is(sum.count, 10_100);
  assert.ok(sum.sources <= 10_001 + 10, String(sum.sources));
});

denials('over the wire name the caller if there is one, and never the key', async () => {
  const { pak } = await admin.createGenerator({ name: 'ci', rules: { denyKinds: ['Pod'] } });
  const ci = test.client(pak);
  const stranger = makePak('ad').text;
  await refused(test.client(stranger).broker.whoAmI({}), Code.Unauthenticated);
  await refused(ci.admin.listPaks({}), Code.PermissionDenied);
  await ci.broker.createStack({ name: 'web' });
  const manifest = Buffer.from('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"n"}}');
  await refused(ci.broker.submitDeployment({ stack: 'web', manifest }), Code.PermissionDenied, 'kind Pod is denied');
  const who = await ci.broker.whoAmI({});
  const entries = await eventually(async () => {
    const found = await admin.listAuditEntries({ outcome: AuditOutcome.DENIED, pageSize: 3 });
    return ['WhoAmI', 'ListPaks', 'SubmitDeployment'].every((action) =>
      found.entries.some((entry) => entry.action === action),
    )
      ? found.entries
      : undefined;
  });
  const of = (action: string) => entries.find((entry) => entry.action === action);
  assert.equal([of('WhoAmI')?.actor?.name, of('WhoAmI')?.code], ['', 'Unauthenticated']);
  for (const action of ['ListPaks', 'SubmitDeployment']) {
    assert.is(of(action)?.actor?.name, 'ci');
    assert.is(of(action)?.actor?.shortToken, who.shortToken);
    assert.is(of(action)?.code, 'PermissionDenied');
    assert.is(of(action)?.sourceAddress, '127.0.0.1');
  }
  const text = JSON.stringify(await db.sql('select to_jsonb(a)::text as text from audit a'));
  assert.not.ok(text.includes(stranger) || text.includes(stranger.split('_')[2] ?? '-'));
});

denials('are counted too when they are refused for their number', async () => {
  const flooded = await startTestBroker({ postgres: test.postgres });
  const flooder = connectBroker({ url: flooded.url, pak: () => makePak('ge').text });
  const call = () => refused(flooder.broker.whoAmI({}), Code.Unauthenticated);
  for (let at = 0; at < 15; at += 1) await call();
  const outcomes = await Promise.allSettled(Array.from({ length: 70 }, call));
  flooder.close();
  assert.ok(outcomes.some(({ status }) => status === 'rejected'));
  // Which writes what it has counted.
  await flooded.close();
  const recorded = await db.sql<{ code: string; count: number }>(
    `select code, count from ${flooded.config.databaseSchema}.audit where outcome = 'denied'`,
  );
  const total = recorded.reduce((sum, { count }) => sum + count, 0);
  assert.is(total, 85);
});

denials('that cannot be written are told to the log, and stop nothing', async () => {
  const gone = await openMigrated(test.config);
  await gone.close();
  const notes = createDenials(gone, log, () => 0);
  notes.note(denied('s6'));
  await notes.close();
  assert.match(lines.join(''), 'denied calls could not be recorded');
});

denials.run();
