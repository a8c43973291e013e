import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createWorkQueue, type WorkQueueOptions } from './work-queue.ts';

const test = suite('a keyed work queue');
const tick = () => new Promise((resolve) => setImmediate(resolve));

/** A queue whose work ends when the test says so. */
function open(options: Partial<WorkQueueOptions> = {}) {
  const started: string[] = [];
  const failures: string[] = [];
  const running = new Map<string, PromiseWithResolvers<void>>();
  const queue = createWorkQueue({
    capacity: 10,
    backoff: { baseMs: 4, maxMs: 20 },
    failed: (key, error) => failures.push(`${key}: ${error instanceof Error ? error.message : error}`),
    ...options,
  });
  const start = () =>
    queue.start((key) => {
      assert.not(running.has(key), `${key} is processed twice at once`);
      started.push(key);
      const work = Promise.withResolvers<void>();
      running.set(key, work);
      return work.promise.finally(() => running.delete(key));
    });
  const end = async (key: string, error?: Error) => {
    if (error) running.get(key)?.reject(error);
    else running.get(key)?.resolve();
    await tick();
  };
  return { queue, started, failures, running, start, end };
}

test('processes a key once, however often it was added before', async () => {
  const { queue, started, start, end } = open();
  queue.add('a');
  queue.add('a');
  await tick();
  assert.equal(started, [], 'nothing is processed before the start');
  assert.ok(queue.isDue('a'));
  start();
  await tick();
  assert.equal(started, ['a']);
  assert.not(queue.isDue('a'));
  await end('a');
  assert.equal(started, ['a']);
});

test('processes a key once more that was added while it was processed', async () => {
  const { queue, started, start, end } = open();
  start();
  queue.add('a');
  await tick();
  queue.add('a');
  queue.add('a');
  assert.ok(queue.isDue('a'));
  await tick();
  assert.equal(started, ['a'], 'one worker a key');
  await end('a');
  assert.equal(started, ['a', 'a']);
  await end('a');
  assert.equal(started, ['a', 'a']);
});

test('delays a key by the shortest of several delays, and not at all once it is added', async () => {
  const { queue, started, start, end } = open();
  start();
  queue.addAfter('late', 10_000);
  queue.addAfter('soon', 10_000);
  queue.addAfter('soon', 5);
  queue.addAfter('soon', 10_000);
  queue.addAfter('now', 10_000);
  queue.add('now');
  await tick();
  assert.equal(started, ['now']);
  await delay(20);
  assert.equal(started, ['now', 'soon']);
  queue.addAfter('soon', 0);
  queue.add('soon');
  await end('soon');
  await delay(10);
  assert.equal(started, ['now', 'soon', 'soon'], 'a delay ends with the run that comes before it');
  await Promise.all([end('now'), end('soon')]);
  await queue.close();
});

test('processes a key again whose delay ended while it was processed', async () => {
  const { queue, started, start, end } = open();
  start();
  queue.add('a');
  await tick();
  queue.addAfter('a', 1);
  await delay(15);
  assert.equal(started, ['a']);
  await end('a');
  assert.equal(started, ['a', 'a']);
  await end('a');
});

test('waits longer after each failure, until the key is forgotten', async () => {
  const { queue, started, failures, start, end } = open({ backoff: { baseMs: 40, maxMs: 80 } });
  start();
  queue.add('a');
  await tick();
  await end('a', new Error('no luck'));
  assert.equal(failures, ['a: no luck']);
  assert.equal(started, ['a'], 'a failure is not retried at once');
  await delay(150);
  assert.equal(started, ['a', 'a']);
  queue.forget('a');
  await end('a');
  await delay(100);
  assert.equal(started, ['a', 'a'], 'what succeeds is not retried');
});

test('processes no more than its capacity at once, and what costs more alone', async () => {
  const costs: Record<string, number> = { small: 3, medium: 6, huge: 99 };
  const { queue, started, start, end } = open({ costOf: (key) => costs[key] ?? 1 });
  start();
  for (const key of ['small', 'medium', 'huge']) queue.add(key);
  await tick();
  assert.equal(started, ['small', 'medium']);
  assert.ok(queue.isDue('huge'), 'it waits for capacity');
  await end('small');
  assert.equal(started, ['small', 'medium']);
  await end('medium');
  assert.equal(started, ['small', 'medium', 'huge']);
  await end('huge');
});

test('starts nothing once it is closed, and lets what it has begun end', async () => {
  const { queue, started, start, end } = open({ capacity: 1 });
  start();
  queue.add('running');
  queue.add('waiting');
  queue.addAfter('delayed', 1);
  await tick();
  let isClosed = false;
  const closed = queue.close().then(() => {
    isClosed = true;
  });
  queue.add('later');
  queue.addRateLimited('later');
  await delay(30);
  assert.not(isClosed);
  await end('running');
  await closed;
  assert.equal(started, ['running']);
});

test('loses no key and runs none twice at once, whatever the order of events', async () => {
  const keys = ['a', 'b', 'c', 'd'] as const;
  const event = fc.record({
    kind: fc.constantFrom('add', 'end', 'fail', 'delay', 'forget', 'turn'),
    key: fc.constantFrom(...keys),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
      const { queue, started, running, start, end } = open({ capacity: 2, backoff: { baseMs: 1, maxMs: 2 } });
      start();
      const startsBefore = new Map<string, number>();
      const starts = (key: string) => started.filter((one) => one === key).length;
      for (const { kind, key } of events) {
        if (kind === 'add' || kind === 'delay') {
          startsBefore.set(key, starts(key));
          if (kind === 'add') queue.add(key);
          else queue.addAfter(key, 1);
        } else if (kind === 'forget') queue.forget(key);
        else if (kind === 'turn') await tick();
        else await end(key, kind === 'fail' ? new Error('failed') : undefined);
        assert.ok(running.size <= 2, `${running.size} keys are processed at once`);
      }
      const isMissing = () => [...startsBefore].some(([key, count]) => starts(key) <= count);
      for (let turn = 0; isMissing() && turn < 500; turn++) {
        for (const key of [...running.keys()]) await end(key);
        await delay(1);
      }
      assert.not(isMissing(), 'every key that was added is processed afterwards');
      const closed = queue.close();
      for (const key of [...running.keys()]) await end(key);
      await closed;
    }),
    { numRuns: 60 },
  );
});

test.run();
