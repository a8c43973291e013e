import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refused, startTestBroker } from '../../test/broker.ts';
import { Refusal } from '../refusal.ts';
import { makePak } from './pak.ts';
import { createThrottle, type Throttle, type Verification } from './throttle.ts';

const test = await startTestBroker({ config: { trustedProxies: 1 } });
const { admin } = test.client();

const attempts = suite('attempts with bad keys');
attempts.after(() => test.close());

const bad: Verification<string> = { verify: async () => undefined, verifyIfKnown: async () => undefined };
const good: Verification<string> = { verify: async () => 'in', verifyIfKnown: async () => 'in' };
const key = (source: string, short: string, digest = short) => ({ source, short, digest });
/** Ten bad ones are free; the eleventh waits. */
async function flood(made: Throttle, source: string, short = 'bad', times = 10): Promise<void> {
  for (let at = 0; at < times; at += 1) await made.run(key(source, short, `${at}`), bad);
}
const limiter = (made: Throttle, source: string, short?: string) =>
  Array.from({ length: 50 }, (_, at) => made.run(key(source, short ?? `b${at}`, `crowd ${at}`), bad));
const refusedLate = async (attempt: Promise<unknown>) => {
  const began = performance.now();
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.is((error as Refusal | undefined)?.reason, 'TOO_MANY_ATTEMPTS');
  assert.ok(performance.now() - began > 900, 'it was refused at once');
};

attempts('are free at first, then take turns', async () => {
  const made = createThrottle(() => 0);
  const order: string[] = [];
  await flood(made, 'here', 'a');
  const slowed = made.run(key('here', 'b'), bad).then(() => order.push('slowed'));
  const elsewhere = made.run(key('there', 'c'), good).then(() => order.push('elsewhere'));
  await Promise.all([slowed, elsewhere]);
  assert.equal(order, ['elsewhere', 'slowed']);
});

attempts('are forgiven, one a second', async () => {
  let now = 0;
  const made = createThrottle(() => now);
  await flood(made, 'here');
  now = 1_000;
  const order: string[] = [];
  const free = made.run(key('here', 'x'), bad).then(() => order.push('forgiven'));
  await Promise.all([free, sleep(50).then(() => order.push('later'))]);
  assert.equal(order, ['forgiven', 'later']);
});

attempts('let a good key from the same address in, ahead of all that wait', async () => {
  const made = createThrottle(() => 0);
  await flood(made, 'here');
  const order: string[] = [];
  const others = ['1', '2', '3'].map((at) => made.run(key('here', at), bad).then(() => order.push(at)));
  const mine = made.run(key('here', 'good'), good).then(() => order.push('mine'));
  await Promise.all([...others, mine]);
  assert.equal(order, ['mine', '1', '2', '3']);
});

attempts('beyond fifty at a time are refused, but for a good key', async () => {
  const made = createThrottle(() => 0);
  await flood(made, 'here');
  const waiting = limiter(made, 'here');
  let out = 0;
  for (const one of waiting) void one.then(() => (out += 1));
  assert.is(await made.run(key('here', 'good'), good), 'in');
  assert.is(out, 0);
  await refusedLate(made.run(key('here', 'one more'), bad));
  await Promise.all(waiting);
});

attempts('are refused alike, whether their short token exists or not', async () => {
  const made = createThrottle(() => 0);
  await flood(made, 'here');
  const waiting = limiter(made, 'here');
  const slow = { verify: bad.verify, verifyIfKnown: () => sleep(100) };
  await Promise.all([bad, slow].map((one, at) => refusedLate(made.run<unknown>(key('here', `${at}`), one))));
  await Promise.all(waiting);
});

attempts('under a short token from its own address do not keep out a key that was good before', async () => {
  const made = createThrottle(() => 0);
  await made.run(key('here', 'victim'), good);
  await flood(made, 'here', 'victim', 12);
  const waiting = limiter(made, 'here', 'victim');
  let out = 0;
  for (const one of waiting) void one.then(() => (out += 1));
  assert.is(await made.run(key('here', 'victim'), good), 'in');
  assert.is(out, 0);
  // Once it is bad it is as any other.
  await made.run(key('here', 'victim'), bad);
  await refusedLate(made.run(key('here', 'victim'), bad));
  await Promise.all(waiting);
});

attempts('under a short token do not lock its owner out, and hold up nobody else', async () => {
  const made = createThrottle(() => 0);
  for (let at = 0; at < 30; at += 1) void made.run(key(`attacker-${at}`, 'victim', `${at}`), bad).catch(() => {});
  await sleep(0);
  const order: string[] = [];
  await Promise.all([
    made.run(key('home', 'victim'), good).then(() => order.push('victim')),
    made.run(key('home', 'neighbour'), good).then(() => order.push('neighbour')),
  ]);
  assert.equal(order, ['neighbour', 'victim']);
});

attempts('keep no more than a bounded number of addresses', async () => {
  let now = 0;
  const made = createThrottle(() => now);
  await flood(made, 'first');
  for (let at = 0; at < 11_000; at += 1) await made.run(key(`s${at}`, `k${at}`), bad);
  now = 1;
  // The first one was forgotten with its count: no turn to wait for.
  const order: string[] = [];
  await Promise.all([
    made.run(key('first', 'x'), bad).then(() => order.push('first')),
    sleep(50).then(() => order.push('later')),
  ]);
  assert.equal(order, ['first', 'later']);
});

attempts('that fail by themselves count for nobody', async () => {
  const made = createThrottle(() => 0);
  const gone = async () => {
    throw new Refusal('unavailable', 'the database is gone');
  };
  for (let at = 0; at < 20; at += 1)
    await made.run(key('here', 'x'), { verify: gone, verifyIfKnown: gone }).catch(() => {});
  const order: string[] = [];
  await Promise.all([
    made.run(key('here', 'x'), bad).then(() => order.push('free')),
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
  assert.ok(answered < 40, `${answered} of the flood were answered before a good key of its address`);
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
