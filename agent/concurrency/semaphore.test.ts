import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../test/agent/test-agent.ts';
import { createSemaphore, type LendOptions } from './semaphore.ts';

const test = suite('a weighted semaphore');

/** Opens a semaphore whose work ends when the test says so. */
function open(size: number, lend?: LendOptions) {
  const limit = createSemaphore(size, lend);
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (name: string, weight: number, signal?: AbortSignal) =>
    limit.run(
      () => {
        started.push(name);
        return new Promise<void>((resolve) => ends.set(name, resolve));
      },
      signal,
      weight,
    );
  const tick = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (name: string) => {
    ends.get(name)?.();
    await tick();
  };
  return { run, started, end, tick };
}

test('starts small work beside something heavy that has to wait', async () => {
  const { run, started, end, tick } = open(10);
  const all = [run('running', 5), run('heavy', 10), run('light', 1)];
  await tick();
  assert.equal(started, ['running', 'light']);
  await end('running');
  await end('light');
  assert.equal(started, ['running', 'light', 'heavy']);
  await end('heavy');
  await Promise.all(all);
});

test('does not let heavy work wait for ever', async () => {
  const { run, started, end, tick } = open(10);
  const all = [run('running', 5), run('heavy', 10)];
  for (let number = 0; number < 100; number++) all.push(run(`light-${number}`, 1));
  for (let place = 0; place < started.length || place === 0; place++) {
    await tick();
    await end(started[place] ?? '');
  }
  await Promise.all(all);
  assert.is(started.indexOf('heavy'), 17, 'overtaken 16 times');
});

test('gives the room of aborted work to the next', async () => {
  const { run, started, end, tick } = open(10);
  const giving = new AbortController();
  const running = run('running', 10);
  const given = run('given up', 10, giving.signal);
  const next = run('next', 10);
  giving.abort(new Error('given up'));
  await given.then(
    () => assert.unreachable(),
    (error) => assert.is(error.message, 'given up'),
  );
  await end('running');
  await tick();
  assert.equal(started, ['running', 'next']);
  await end('next');
  await Promise.all([running, next]);
});

test('lends the room of slow work, up to its limit', async () => {
  const { run, started, end, tick } = open(2, { afterMs: 20, most: 2 });
  const all = ['slow-1', 'slow-2', 'slow-3', 'slow-4', 'late'].map((name) => run(name, 1));
  await tick();
  assert.equal(started, ['slow-1', 'slow-2']);
  await until(() => started.length === 4, 'two more beside the slow ones');
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(started, ['slow-1', 'slow-2', 'slow-3', 'slow-4'], 'nothing more may be lent');
  await end('slow-1');
  await until(() => started.includes('late'), 'the last one');
  for (const name of started) await end(name);
  await Promise.all(all);
  const after = [run('after-1', 1), run('after-2', 1), run('after-3', 1)];
  await tick();
  assert.equal(started.slice(5), ['after-1', 'after-2'], 'lent room is given back');
  for (const name of ['after-1', 'after-2', 'after-3']) {
    await until(() => started.includes(name), name);
    await end(name);
  }
  await Promise.all(after);
});

test.run();
