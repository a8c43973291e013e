import { constants } from 'node:http2';
import { type ContextValues, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { invalidKey } from '../../access/rules.ts';
import type { Handler } from '../http/port.ts';
import { principalKey } from '../principal.ts';

/**
 * Time that a call has to end by itself after its key was revoked. A stream sends its final error. A unary call may have revoked its
 * own key, and its response, which contains the new one, must still be sent.
 */
const streamGraceMs = 500;
const unaryGraceMs = 5_000;

const cancelCall = createContextKey<(hasEnded: boolean) => void>(() => {}, { description: 'cuts the call off' });

/** Registers how to cancel a call whatever its handler is doing: HTTP/2 resets the stream, HTTP/1.1 closes the connection. */
export function registerCancel(request: Parameters<Handler>[0], values: ContextValues): ContextValues {
  return values.set(cancelCall, (hasEnded) => {
    // Reset it even when the handler has ended: a client that reads nothing has not got the response, and may go on sending.
    if ('stream' in request) request.stream.close(constants.NGHTTP2_CANCEL);
    // After the call, the connection may serve another caller.
    else if (!hasEnded) request.socket.destroy();
  });
}

/**
 * Cancels a call that has not ended by itself soon after its key was revoked. Handlers check the key's signal where they wait and
 * between messages; a handler that is blocked by a client that does not read, or by a body that does not arrive, cannot.
 */
export function cancelOnRevocation(
  keyEnded: AbortSignal | undefined,
  { method, signal, values }: Pick<HandlerContext, 'method' | 'signal' | 'values'>,
): void {
  const graceMs = method.methodKind === 'unary' ? unaryGraceMs : streamGraceMs;
  const cancelLater = () => setTimeout(() => values.get(cancelCall)(signal.aborted), graceMs).unref();
  keyEnded?.addEventListener('abort', cancelLater, { once: true, signal });
}

/** Refuses calls whose key was revoked while their request arrived or while they waited in a queue. */
export function keyRevocationInterceptor(): Interceptor {
  return (next) => async (request) => {
    if (request.contextValues.get(principalKey)?.signal?.aborted) throw invalidKey();
    return next(request);
  };
}
