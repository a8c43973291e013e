import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../../test/broker.ts';
import { createChangeNotifier } from './change-notifier.ts';

const notifications = suite('notifications of changes');

/** A receiver that notes how many changes had been made when each notification began. */
function makeReceiver(answer: () => Promise<unknown> = async () => {}) {
  const seen: number[] = [];
  let changes = 0;
  const notifier = createChangeNotifier(async () => {
    seen.push(changes);
    await answer();
  });
  return {
    seen,
    notifier,
    change() {
      changes += 1;
      notifier.notify();
    },
  };
}

notifications('are sent at once, and shared by changes that come together', async () => {
  const { seen, change, notifier } = makeReceiver();
  change();
  assert.equal(seen, [1]);
  for (let times = 0; times < 100; times += 1) change();
  await eventually(() => seen.at(-1) === 101);
  assert.is(seen.length, 2);
  await notifier.close();
});

notifications('follow each change, also one that comes while another is being sent', async () => {
  const answers: (() => void)[] = [];
  const { seen, change, notifier } = makeReceiver(() => new Promise<void>((resolve) => answers.push(resolve)));
  change();
  change();
  await sleep(20);
  assert.equal(seen, [1], 'one at a time');
  answers[0]?.();
  await eventually(() => seen.length === 2);
  assert.equal(seen, [1, 2]);
  answers[1]?.();
  await notifier.close();
});

notifications('go on after one that failed, and the last is sent before the end', async () => {
  const { seen, change, notifier } = makeReceiver(async () => {
    throw new Error('no database');
  });
  change();
  change();
  await eventually(() => seen.length === 2);
  change();
  await notifier.close();
  assert.is(seen.at(-1), 3);
});

notifications.run();
