import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createLifecycle } from './lifecycle.ts';

const test = suite('lifecycle of an agent');

function open() {
  const disposing = Promise.withResolvers<void>();
  const failures: string[] = [];
  let disposals = 0;
  const lifecycle = createLifecycle({
    dispose() {
      disposals += 1;
      return disposing.promise;
    },
    connectivity: { brokerFailed: (reason) => void failures.push(reason) },
    log: pino({ level: 'silent' }),
  });
  return { lifecycle, failures, disposed: disposing.resolve, disposals: () => disposals };
}

test('closes once, and lets passes finish', async () => {
  const { lifecycle, disposed, disposals } = open();
  const closed = Promise.all([lifecycle.close(), lifecycle.close()]);
  assert.ok(lifecycle.mayFinish);
  disposed();
  await closed;
  assert.is(disposals(), 1);
  assert.is(await lifecycle.ended, 'closed');
});

test('ends without delay when it is fenced, and is not ready from then on', async () => {
  const { lifecycle, failures, disposed } = open();
  lifecycle.fenced('another one');
  lifecycle.fenced('another one');
  assert.not(lifecycle.mayFinish);
  assert.equal(failures, ['another agent runs with this key']);
  disposed();
  assert.is(await lifecycle.ended, 'fenced');
});

test('gives up what it wanted to finish when it is fenced while it closes', async () => {
  const { lifecycle, disposed, disposals } = open();
  const closed = lifecycle.close();
  lifecycle.fenced('another one');
  assert.not(lifecycle.mayFinish);
  disposed();
  await closed;
  assert.is(disposals(), 1);
  assert.is(await lifecycle.ended, 'fenced');
});

test('ends without delay when it can no longer lead', async () => {
  const { lifecycle, disposed } = open();
  lifecycle.deposed();
  assert.not(lifecycle.mayFinish);
  disposed();
  assert.is(await lifecycle.ended, 'deposed');
});

test.run();
