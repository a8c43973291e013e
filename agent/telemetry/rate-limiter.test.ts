import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRateLimiter } from './rate-limiter.ts';

const limits = suite('a rate');

limits('lets so many pass each second, and leaves out the rest of it', () => {
  let now = 0;
  const limiter = createRateLimiter({ items: 3, bytes: 100 }, () => now);
  assert.equal([1, 1, 1, 1].map(limiter.admit), [true, true, true, false]);
  now = 1_000;
  assert.equal([60, 60, 40].map(limiter.admit), [true, false, true]);
  assert.is(limiter.offered, 160);
});

limits.run();
