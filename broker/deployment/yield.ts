import { setImmediate } from 'node:timers/promises';

const sliceMs = 8;

/**
 * Creates a function for long work on the main thread. Await it between the steps: every few milliseconds it lets other calls of the
 * event loop run.
 */
export function createYield(): () => Promise<void> {
  let startedAt = performance.now();
  return async () => {
    if (performance.now() - startedAt < sliceMs) return;
    await setImmediate();
    startedAt = performance.now();
  };
}
