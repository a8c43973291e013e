import { setTimeout as pause } from 'node:timers/promises';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

/** How often a broker that cannot be reached is tried before that is said. */
export const maxAttempts = 5;
const initialBackoffMs = 200;

/** Whether a call ended without the broker's answer, although nobody canceled it. */
export function isUnavailable(reason: unknown, signal: AbortSignal | undefined): boolean {
  return !signal?.aborted && ConnectError.from(reason).code === Code.Unavailable;
}

/**
 * Calls again, after a random and growing pause, while the broker is unavailable and the call's deadline allows. Only calls that
 * do nothing twice: what reads, and what carries a request_id.
 */
export const retryUnavailable: Interceptor = (next) => async (request) => {
  if (request.stream) return next(request);
  const { method, message } = request;
  const safe =
    method.idempotency === Idempotency.NO_SIDE_EFFECTS || Boolean((message as { requestId?: string }).requestId);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await next(request);
    } catch (error) {
      if (!safe || attempt === maxAttempts || !isUnavailable(error, request.signal)) throw error;
      await pause(Math.random() * initialBackoffMs * 2 ** (attempt - 1), undefined, { signal: request.signal });
    }
  }
};
