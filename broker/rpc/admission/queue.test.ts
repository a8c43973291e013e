import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Refusal } from '../../refusal.ts';
import { lifetimeOf } from '../lifetime.ts';
import { type CallClass, createFairQueue, type FairQueue, type QueueOptions } from './queue.ts';

const calm = new AbortController().signal;

/** Creates a queue whose calls end when the test says so; `started` lists them in the order of their turns. */
function createTestbed(options: Partial<QueueOptions> = {}) {
  const queue: FairQueue = createFairQueue({
    maxRunning: 1,
    maxRunningPerCaller: 1,
    maxWaitingPerCaller: 100,
    ...options,
  });
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (caller: string, name: string, kind: CallClass = 'single', signal: AbortSignal = calm) => {
    const end = Promise.withResolvers<string>();
    ends.set(name, () => end.resolve(name));
    return queue.run(caller, kind, lifetimeOf({ signal }), () => {
      started.push(name);
      return end.promise;
    });
  };
  /** Ends started calls one after the other until all have ended. */
  const drain = async () => {
    await settle();
    for (let at = 0; at < started.length; at += 1) {
      ends.get(started[at] as string)?.();
      await settle();
    }
  };
  return { queue, started, run, drain, end: (name: string) => ends.get(name)?.() };
}
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

const turns = suite('turns');

turns('start at once while there is room', async () => {
  const { run, started, queue } = createTestbed({ maxRunning: 3, maxRunningPerCaller: 3 });
  for (const name of ['a1', 'a2', 'b1']) void run(name[0] as string, name);
  await settle();
  assert.equal(started, ['a1', 'a2', 'b1']);
  assert.is(queue.waiting(), 0);
});

turns('alternate between callers, however many calls each has waiting', async () => {
  const { run, started, drain } = createTestbed();
  void run('x', 'first');
  for (let at = 1; at <= 50; at += 1) void run('a', `a${at}`);
  for (let at = 1; at <= 3; at += 1) void run('b', `b${at}`);
  void run('c', 'c1');
  await drain();
  assert.equal(started.slice(0, 8), ['first', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'b3']);
  assert.is(started.length, 55);
});

turns('of one caller keep their order', async () => {
  const { run, started, drain } = createTestbed();
  const names = Array.from({ length: 20 }, (_, at) => `a${at}`);
  for (const name of names) void run('a', name);
  await drain();
  assert.equal(started, names);
});

turns('of agents come first, those of lists last, and no class starves', async () => {
  const { run, started, drain } = createTestbed();
  void run('x', 'first');
  for (let at = 0; at < 40; at += 1) void run(`l${at}`, `list${at}`, 'list');
  for (let at = 0; at < 40; at += 1) void run(`s${at}`, `single${at}`, 'single');
  for (let at = 0; at < 40; at += 1) void run(`a${at}`, `agent${at}`, 'agent');
  await drain();
  const count = (kind: string, of: number) => started.slice(1, 1 + of).filter((name) => name.startsWith(kind)).length;
  assert.equal([count('agent', 16), count('single', 16), count('list', 16)], [10, 4, 2]);
  assert.is(started[1], 'agent0');
  assert.ok(started.indexOf('agent39') < started.indexOf('list39'));
  assert.is(started.length, 121);
});

turns('reserved for a class go to the others when it has no calls', async () => {
  const { run, started, drain } = createTestbed();
  for (let at = 0; at < 30; at += 1) void run(`l${at}`, `list${at}`, 'list');
  await drain();
  assert.is(started.length, 30);
});

turns('leave room beside a caller that fills its share', async () => {
  const { run, started, queue, end, drain } = createTestbed({ maxRunning: 4, maxRunningPerCaller: 3 });
  for (let at = 1; at <= 10; at += 1) void run('a', `a${at}`);
  await settle();
  assert.equal(started, ['a1', 'a2', 'a3']);
  void run('b', 'b1');
  await settle();
  assert.is(started.at(-1), 'b1');
  void run('c', 'c1');
  await settle();
  assert.is(queue.waiting(), 8);
  end('b1');
  await settle();
  assert.is(started.at(-1), 'c1');
  await drain();
  assert.is(started.length, 12);
  assert.is(queue.waiting(), 0);
});

turns('are refused to a caller with too many calls waiting, and not to another', async () => {
  const { run, queue, drain } = createTestbed({ maxWaitingPerCaller: 2 });
  void run('x', 'first');
  for (const name of ['a1', 'a2']) void run('a', name);
  await run('a', 'a3').then(
    () => assert.unreachable(),
    (error: unknown) => assert.is((error as Refusal).reason, 'TOO_MANY_CALLS'),
  );
  // Each class has a queue of its own.
  const list = run('a', 'a4', 'list');
  const other = run('b', 'b1');
  assert.is(queue.waiting(), 4);
  await drain();
  assert.equal(await Promise.all([list, other]), ['a4', 'b1']);
});

turns('skip calls whose client has gone', async () => {
  const { run, started, queue, drain } = createTestbed();
  void run('x', 'first');
  const gone = new AbortController();
  const left = run('a', 'a1', 'single', gone.signal);
  const only = run('d', 'd1', 'single', gone.signal);
  void run('a', 'a2');
  void run('b', 'b1');
  gone.abort();
  for (const one of [left, only])
    await one.then(
      () => assert.unreachable(),
      (error: unknown) => assert.match(String(error), 'ended while it waited'),
    );
  assert.is(queue.waiting(), 2);
  await run('c', 'c1', 'single', gone.signal).then(
    () => assert.unreachable(),
    (error: unknown) => assert.is((error as Error).name, 'AbortError'),
  );
  await drain();
  assert.equal(started, ['first', 'a2', 'b1']);
  // A client that goes while its call runs frees exactly one place.
  const late = new AbortController();
  void run('a', 'a5', 'single', late.signal);
  late.abort();
  void run('b', 'b5');
  await settle();
  assert.is(started.at(-1), 'a5');
  await drain();
  assert.is(started.at(-1), 'b5');
});

turns('go on after a call that fails', async () => {
  const { queue } = createTestbed();
  const fail = queue.run('a', 'single', lifetimeOf({ signal: calm }), () => Promise.reject(new Error('no')));
  const next = queue.run('b', 'single', lifetimeOf({ signal: calm }), async () => 'next');
  await fail.then(
    () => assert.unreachable(),
    (error: unknown) => assert.match(String(error), 'no'),
  );
  assert.is(await next, 'next');
});

turns('never exceed the limits under random load', async () => {
  const queue = createFairQueue({ maxRunning: 5, maxRunningPerCaller: 3, maxWaitingPerCaller: 1_000 });
  const running = new Map<string, number>();
  let most = 0;
  let done = 0;
  const calls = Array.from({ length: 2_000 }, (_, at) => {
    const caller = `c${at % 7 === 0 ? at % 5 : 0}`;
    const kind = (['agent', 'single', 'list'] as const)[at % 3] as CallClass;
    return queue.run(caller, kind, lifetimeOf({ signal: calm }), async () => {
      running.set(caller, (running.get(caller) ?? 0) + 1);
      most = Math.max(
        most,
        [...running.values()].reduce((sum, count) => sum + count, 0),
      );
      assert.ok((running.get(caller) ?? 0) <= 3, caller);
      for (let tick = 0; tick < at % 3; tick += 1) await settle();
      running.set(caller, (running.get(caller) ?? 0) - 1);
      done += 1;
    });
  });
  await Promise.all(calls);
  assert.ok(most <= 5);
  assert.is(done, 2_000);
  assert.is(queue.waiting(), 0);
});

turns.run();
