import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createParseQueue, type Queued } from './parse-queue.ts';

const limits = { jobs: 100, bytes: 1 << 20 };
const job = (caller: string, bytes: number): Queued => ({ caller, bytes });

const queues = suite('the queue of manifests');

queues('lets a small job of one caller pass the large ones of another', () => {
  const queue = createParseQueue(limits);
  const large = [1, 2, 3].map(() => job('large', 100_000));
  const small = job('small', 90);
  for (const each of [...large, small]) assert.ok(queue.add(each));
  assert.is(queue.take(), small);
  assert.equal([queue.take(), queue.take(), queue.take(), queue.take()], [...large, undefined]);
});

queues('gives callers with equal work equal turns', () => {
  const queue = createParseQueue(limits);
  for (const caller of ['a', 'a', 'a', 'b', 'b', 'b']) queue.add(job(caller, 1_000));
  const order = Array.from({ length: 6 }, () => queue.take()?.caller);
  assert.equal(order, ['a', 'b', 'a', 'b', 'a', 'b']);
});

queues('takes only what fits, and removes what is no longer wanted', () => {
  const queue = createParseQueue(limits);
  const [one, two] = [job('a', 10_000), job('b', 20_000)];
  queue.add(one);
  queue.add(two);
  assert.is(
    queue.take(({ bytes }) => bytes > 15_000),
    two,
  );
  assert.is(
    queue.take(({ bytes }) => bytes > 15_000),
    undefined,
  );
  assert.ok(queue.remove(one));
  assert.not(queue.remove(one));
  assert.is(queue.length, 0);
});

queues('holds no more bytes and jobs than it may, and of one caller half of them', () => {
  const step = fc.oneof(
    fc.record({ caller: fc.constantFrom('a', 'b', 'c'), bytes: fc.integer({ min: 0, max: 400_000 }) }),
    fc.constant('take' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = createParseQueue(limits);
      const held = new Set<Queued>();
      for (const each of steps) {
        if (each === 'take') {
          const taken = queue.take();
          assert.is(taken === undefined, held.size === 0);
          if (taken) held.delete(taken);
        } else if (queue.add(each)) held.add(each);
        const sum = (of: Iterable<Queued>) => [...of].reduce((total, { bytes }) => total + bytes, 0);
        assert.ok(held.size <= limits.jobs && sum(held) <= limits.bytes);
        assert.is(queue.length, held.size);
      }
    }),
  );
});

queues.run();
