import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { longPolls } from './long-polls.ts';

/** Maximum duration of a unary call. For a long poll, its longest wait is added. */
const unaryTimeoutMs = 60_000;

/** Ends unary calls that take too long, whatever timeout the caller sent. Streams have heartbeats instead. */
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
