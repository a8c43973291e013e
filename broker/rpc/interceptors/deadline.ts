import { Code, ConnectError, createContextKey, type Interceptor } from '@connectrpc/connect';
import { longPolls } from './long-polls.ts';

/** Maximum duration of a unary call. For a long poll, its longest wait is added. */
const unaryTimeoutMs = 60_000;

/** Time on the clock of `performance.now()` by which the client wants its answer. */
export const deadlineKey = createContextKey(Number.POSITIVE_INFINITY, { description: 'the deadline of the client' });

/** Ends unary calls that take too long, or longer than the client waits. Streams have heartbeats instead. */
export function deadlineInterceptor(): Interceptor {
  return (next) => (request) => {
    if (request.stream) return next(request);
    const limitMs = unaryTimeoutMs + (longPolls.get(request.method.name) ?? 0);
    const remainingMs = request.contextValues.get(deadlineKey) - performance.now();
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

/** Returns the error of a call that took longer than its client waits. */
export function deadlineExceeded(): ConnectError {
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}
