import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { longPolls } from './long-polls.ts';

/** How long a unary call may take. A long poll adds what it asks for. */
const unaryTimeoutMs = 60_000;

/** Ends unary calls that take too long, whatever the caller is ready to wait. Streams have their own signs of life. */
export function deadlineInterceptor(): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    const timeoutMs = unaryTimeoutMs + (longPolls.get(request.method.name) ?? 0);
    const expired = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => expired.reject(new ConnectError(`took longer than ${timeoutMs / 1000} s`, Code.DeadlineExceeded)),
      timeoutMs,
    );
    try {
      return await Promise.race([next(request), expired.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}
