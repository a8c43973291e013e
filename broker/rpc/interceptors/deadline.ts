import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { longPolls } from './long-polls.ts';

/** How long a unary call may take. A long poll adds what it asks for. */
const unaryMs = 60_000;

/** Ends unary calls that take too long, whatever the caller is ready to wait. Streams have their own signs of life. */
export function deadlineInterceptor(): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    const limitMs = unaryMs + (longPolls.get(request.method.name) ?? 0);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new ConnectError(`took longer than ${limitMs / 1000} s`, Code.DeadlineExceeded)),
      limitMs,
    );
    try {
      return await Promise.race([next(request), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}
