import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRepairBackoff } from './repair-backoff.ts';

const backoff = suite('backoff of repairs');

backoff('lets an object be put right four times a minute, then waits longer each time', () => {
  const repairBackoff = createRepairBackoff();
  const reported = Array.from({ length: 5 }, (_, index) => repairBackoff.repaired('a', index * 1_000));
  assert.equal(reported, [undefined, undefined, undefined, undefined, 10_000]);
  assert.is(repairBackoff.waitMs('a', 4_000), 10_000);
  assert.is(repairBackoff.waitMs('b', 4_000), 0);
  assert.is(repairBackoff.waitMs('a', 14_000), 0);
  assert.is(repairBackoff.repaired('a', 15_000), 20_000);
  assert.is(repairBackoff.repaired('a', 36_000), 40_000);
});

backoff('is over when nobody changes the object any more', () => {
  const repairBackoff = createRepairBackoff();
  for (let time = 0; time < 5; time++) repairBackoff.repaired('a', time);
  assert.is(repairBackoff.repaired('a', 200_000), undefined);
  for (let time = 0; time < 10; time++)
    assert.is(repairBackoff.repaired('slow', time * 20_000), undefined, 'now and then is no fight');
});

backoff.run();
