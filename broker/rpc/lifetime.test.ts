import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LazyLifetime, lifetimeOf } from './lifetime.ts';

const lifetimes = suite('the lifetime of a call');

lifetimes('tells each listener once, also those that come late', () => {
  const lifetime = new LazyLifetime();
  const reasons: string[] = [];
  lifetime.onEnd(() => reasons.push('first'));
  lifetime.onEnd(() => reasons.push('second'));
  assert.is(lifetime.ended, false);
  lifetime.end(new Error('over'));
  lifetime.end(new Error('again'));
  lifetime.onEnd(() => reasons.push('late'));
  assert.is(lifetime.ended, true);
  assert.equal(reasons, ['first', 'second', 'late']);
});

lifetimes('aborts its signal with the first reason, whether the signal was made before or after', () => {
  const reason = new Error('over');
  for (const isEarly of [true, false]) {
    const lifetime = new LazyLifetime();
    if (isEarly) assert.is(lifetime.signal.aborted, false);
    lifetime.end(reason);
    lifetime.end(new Error('again'));
    assert.is(lifetime.signal.aborted, true);
    assert.is(lifetime.signal.reason, reason);
    assert.is(lifetime.signal, lifetime.signal);
  }
});

lifetimes('follows the signal of a call that has no lifetime of its own', () => {
  const controller = new AbortController();
  const lifetime = lifetimeOf({ signal: controller.signal });
  let ends = 0;
  lifetime.onEnd(() => (ends += 1));
  assert.is(lifetime.ended, false);
  controller.abort();
  lifetime.onEnd(() => (ends += 1));
  assert.is(lifetime.ended, true);
  assert.is(ends, 2);
  const own = new LazyLifetime();
  assert.is(lifetimeOf({ signal: own.signal, lifetime: own }), own);
});

lifetimes.run();
