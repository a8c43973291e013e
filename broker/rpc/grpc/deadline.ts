import { deadlineExceeded } from '../interceptors/deadline.ts';
import type { GrpcCall } from './call.ts';

/** Longer timers overflow and would fire at once; a deadline beyond them (24 days) counts as none. */
const maxTimerMs = 2 ** 31 - 1;

/** Ends a stream of responses with `deadline_exceeded` at the deadline of its call; without one, returns the stream itself. */
export function untilDeadline<T>(messages: AsyncIterable<T>, call: GrpcCall): AsyncIterable<T> {
  const timeoutMs = call.timeoutMs();
  return timeoutMs === undefined || timeoutMs > maxTimerMs ? messages : limited(messages, call, timeoutMs);
}

async function* limited<T>(messages: AsyncIterable<T>, call: GrpcCall, timeoutMs: number): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let fail: (error: unknown) => void = () => {};
  const timer = setTimeout(() => {
    const error = deadlineExceeded();
    call.lifetime.end(error);
    fail(error);
  }, timeoutMs);
  // A race with one promise of the deadline would keep something of every message until then.
  const next = () =>
    new Promise<IteratorResult<T>>((resolve, reject) => {
      fail = reject;
      if (call.lifetime.ended) return reject(deadlineExceeded());
      iterator.next().then(resolve, reject);
    });
  try {
    for (let result = await next(); !result.done; result = await next()) yield result.value;
  } finally {
    clearTimeout(timer);
    void iterator.return?.().catch(() => {});
  }
}
