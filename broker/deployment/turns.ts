import { setImmediate } from 'node:timers/promises';

const turnMs = 8;

/** For long work on this thread: `await` what it answers between the parts, and other calls go on every few milliseconds. */
export function takeTurns(): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < turnMs) return;
    await setImmediate();
    since = performance.now();
  };
}
