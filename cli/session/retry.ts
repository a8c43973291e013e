import { setTimeout as delay } from 'node:timers/promises';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

/** Number of attempts before an unreachable broker is reported. */
export const maxAttempts = 5;
const initialBackoffMs = 200;

/** Tells whether a call failed without an answer of the broker, and not because it was cancelled. */
export function isUnavailable(reason: unknown, signal: AbortSignal | undefined): boolean {
  return !signal?.aborted && ConnectError.from(reason).code === Code.Unavailable;
}

/**
 * Retries calls with jittered exponential backoff while the broker is unavailable and the deadline of the call allows. Only retries
 * calls that are safe to repeat: reads, and writes with a request_id.
 */
export const retryUnavailable: Interceptor = (next) => async (request) => {
  if (request.stream) return next(request);
  const { method, message } = request;
  const isRepeatable =
    method.idempotency === Idempotency.NO_SIDE_EFFECTS || Boolean((message as { requestId?: string }).requestId);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await next(request);
    } catch (error) {
      if (!isRepeatable || attempt === maxAttempts || !isUnavailable(error, request.signal)) throw error;
      await delay(Math.random() * initialBackoffMs * 2 ** (attempt - 1), undefined, { signal: request.signal });
    }
  }
};
