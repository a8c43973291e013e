import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refused, startTestBroker } from '../../test/broker.ts';
import { Refusal } from '../refusal.ts';
import { createAttempts } from './attempts.ts';
import { makePak } from './pak.ts';

const test = await startTestBroker({ config: { trustedProxies: 1 } });
const { admin } = test.client();

const attempts = suite('attempts with bad keys');
attempts.after(() => test.close());

const bad = async () => undefined;
const good = async () => 'in';
/** Ten bad ones are free; the eleventh waits. */
async function flood(made: ReturnType<typeof createAttempts>, source: string, short = 'bad'): Promise<void> {
  for (let at = 0; at < 10; at += 1) await made.run(source, short, bad);
}

attempts('are free at first, then take turns', async () => {
  const made = createAttempts(() => 0);
  const order: string[] = [];
  await flood(made, 'here', 'a');
  const slowed = made.run('here', 'b', bad).then(() => order.push('slowed'));
  const elsewhere = made.run('there', 'c', good).then(() => order.push('elsewhere'));
  await Promise.all([slowed, elsewhere]);
  assert.equal(order, ['elsewhere', 'slowed']);
});

attempts('are forgiven, one a second', async () => {
  let now = 0;
  const made = createAttempts(() => now);
  await flood(made, 'here');
  now = 1_000;
  const order: string[] = [];
  const free = made.run('here', 'x', good).then(() => order.push('forgiven'));
  await Promise.all([free, sleep(50).then(() => order.push('later'))]);
  assert.equal(order, ['forgiven', 'later']);
});

attempts('let a good key from the same address in, behind those who came first', async () => {
  const made = createAttempts(() => 0);
  await flood(made, 'here');
  const order: number[] = [];
  const others = [1, 2, 3].map((at) => made.run('here', `b${at}`, bad).then(() => order.push(at)));
  const mine = made.run('here', 'good', good);
  assert.is(await mine, 'in');
  await Promise.all(others);
  assert.equal(order, [1, 2, 3]);
});

attempts('beyond fifty at a time are refused, but for a key that was good from there before', async () => {
  const made = createAttempts(() => 0);
  await made.run('here', 'known', good);
  await flood(made, 'here');
  const waiting = Array.from({ length: 50 }, (_, at) => made.run('here', `b${at}`, bad));
  await made.run('here', 'one more', bad).then(
    () => assert.unreachable('there is no room'),
    (error: unknown) => assert.is((error as Refusal).reason, 'TOO_MANY_ATTEMPTS'),
  );
  // It does not stand in the line of fifty.
  let out = 0;
  for (const one of waiting) void one.then(() => (out += 1));
  assert.is(await made.run('here', 'known', good), 'in');
  assert.ok(out < 50, String(out));
  await Promise.all(waiting);
});

attempts('under a short token do not lock its owner out, and hold up nobody else', async () => {
  const made = createAttempts(() => 0);
  for (let at = 0; at < 30; at += 1) void made.run(`attacker-${at}`, 'victim', bad).catch(() => {});
  await sleep(0);
  assert.is(await made.run('home', 'victim', good), 'in');
  const order: string[] = [];
  await Promise.all([
    made.run('home', 'victim', good).then(() => order.push('victim')),
    made.run('home', 'neighbour', good).then(() => order.push('neighbour')),
  ]);
  assert.equal(order, ['neighbour', 'victim']);
});

attempts('keep no more than a bounded number of addresses', async () => {
  let now = 0;
  const made = createAttempts(() => now);
  await flood(made, 'first');
  for (let at = 0; at < 11_000; at += 1) await made.run(`s${at}`, `k${at}`, bad);
  now = 1;
  // The first one was forgotten with its count: no turn to wait for.
  const order: string[] = [];
  await Promise.all([
    made.run('first', 'x', good).then(() => order.push('first')),
    sleep(50).then(() => order.push('later')),
  ]);
  assert.equal(order, ['first', 'later']);
});

attempts('that fail by themselves count for nobody', async () => {
  const made = createAttempts(() => 0);
  for (let at = 0; at < 20; at += 1)
    await made
      .run('here', 'x', async () => {
        throw new Refusal('unavailable', 'the database is gone');
      })
      .catch(() => {});
  const order: string[] = [];
  await Promise.all([
    made.run('here', 'x', good).then(() => order.push('free')),
    sleep(50).then(() => order.push('later')),
  ]);
  assert.equal(order, ['free', 'later']);
});

/** A client whose calls come from an address, by the word of the proxy that is trusted. */
const from = (address: string, pak: string) =>
  test.client(pak, {
    timeoutMs: 60_000,
    interceptors: [
      (next) => (request) => {
        request.header.set('x-forwarded-for', address);
        return next(request);
      },
    ],
  });

attempts('over the wire slow their address only, and a good key gets in from both', async () => {
  const [first, second, third] = await Promise.all(
    ['a1', 'a2', 'a3'].map(async (name) => (await admin.createAgent({ name })).pak),
  );
  assert.ok(first && second && third);
  // Known before the flood: not even verified again.
  const known = from('192.0.2.1', third);
  await known.broker.whoAmI({});
  const flood = Array.from({ length: 40 }, () =>
    from('192.0.2.1', makePak('ag').text).broker.whoAmI({}).catch(ConnectError.from),
  );
  let answered = 0;
  for (const one of flood) void one.then(() => (answered += 1));
  await known.broker.whoAmI({});
  assert.is((await from('192.0.2.2', first).broker.whoAmI({})).name, 'a1');
  assert.ok(answered < 40, `${answered} of the flood were answered before a good key elsewhere`);
  assert.is((await from('192.0.2.1', second).broker.whoAmI({})).name, 'a2');
  const codes = (await Promise.all(flood)).map((error) => (error instanceof ConnectError ? Code[error.code] : 'OK'));
  assert.equal([...new Set(codes)], ['Unauthenticated']);
});

attempts('never end what works already', async () => {
  const { pak } = await admin.createGenerator({ name: 'steady' });
  const client = from('192.0.2.9', pak);
  await client.broker.whoAmI({});
  for (let at = 0; at < 12; at += 1)
    await refused(from('192.0.2.9', makePak('ge').text).broker.whoAmI({}), Code.Unauthenticated);
  assert.is((await client.broker.whoAmI({})).name, 'steady');
});

attempts.run();
