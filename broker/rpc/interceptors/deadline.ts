import { Code, ConnectError, type ContextValues, createContextKey, type Interceptor } from '@connectrpc/connect';
import { longPolls } from './long-polls.ts';

/** Maximum duration of a unary call. For a long poll, its longest wait is added. */
const unaryTimeoutMs = 60_000;
/** Longer timers overflow and would fire at once; a deadline beyond them (24 days) counts as none. */
const maxTimerMs = 2 ** 31 - 1;

/** Time on the clock of `performance.now()` by which the client wants its answer. */
const deadlineKey = createContextKey(Number.POSITIVE_INFINITY, { description: 'the deadline of the client' });

/** Sets the time that the client waits for its answer. */
export function setDeadline(values: ContextValues, timeoutMs: number): void {
  values.set(deadlineKey, performance.now() + timeoutMs);
}

/** Returns the time that the client still waits, in milliseconds; Infinity if it named no deadline. */
export function remainingTimeMs(values: ContextValues): number {
  return values.get(deadlineKey) - performance.now();
}

/**
 * Ends calls that take longer than their client waits, in every protocol, and unary calls that take too long. Streams without a
 * deadline have heartbeats instead.
 */
export function deadlineInterceptor(): Interceptor {
  return (next) => (request) => {
    const remainingMs = remainingTimeMs(request.contextValues);
    if (request.stream) return remainingMs > maxTimerMs ? next(request) : limitStream(next(request), remainingMs);
    const limitMs = unaryTimeoutMs + (longPolls.get(request.method.name) ?? 0);
    return new Promise((resolve, reject) => {
      const expire = () =>
        reject(
          remainingMs < limitMs
            ? deadlineExceeded()
            : new ConnectError(`took longer than ${limitMs / 1000} s`, Code.DeadlineExceeded),
        );
      if (remainingMs <= 0) return expire();
      const timer = setTimeout(expire, Math.min(remainingMs, limitMs));
      const settle = <T>(settled: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer);
          settled(value);
        };
      };
      next(request).then(settle(resolve), settle(reject));
    });
  };
}

type Response = Awaited<ReturnType<Parameters<Interceptor>[0]>>;

async function limitStream(answer: Promise<Response>, timeoutMs: number): Promise<Response> {
  const response = await answer;
  // Not a copy: the response's other fields may be getters.
  return response.stream ? Object.assign(response, { message: untilTimeout(response.message, timeoutMs) }) : response;
}

/** Ends a stream of messages with `deadline_exceeded` after the timeout. */
async function* untilTimeout<T>(messages: AsyncIterable<T>, timeoutMs: number): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let isExpired = timeoutMs <= 0;
  let fail: (error: unknown) => void = () => {};
  const timer = setTimeout(() => {
    isExpired = true;
    fail(deadlineExceeded());
  }, timeoutMs);
  // A race with one promise of the deadline would keep something of every message until then.
  const next = () =>
    new Promise<IteratorResult<T>>((resolve, reject) => {
      fail = reject;
      if (isExpired) return reject(deadlineExceeded());
      iterator.next().then(resolve, reject);
    });
  try {
    for (let result = await next(); !result.done; result = await next()) yield result.value;
  } finally {
    clearTimeout(timer);
    // Not awaited: the handler returns only when its signal aborts, which happens after this.
    void iterator.return?.().catch(() => {});
  }
}

function deadlineExceeded(): ConnectError {
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}
