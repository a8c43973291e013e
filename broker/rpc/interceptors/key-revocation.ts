import { constants } from 'node:http2';
import { type ContextValues, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { invalidKey } from '../../access/rules.ts';
import type { Handler } from '../http/port.ts';
import { principalKey } from '../principal.ts';

/**
 * How long a call has to end by itself after its key. A stream has a last word to say. A unary call may have ended its own key,
 * and its answer, with the new one, must still get out.
 */
const streamGraceMs = 500;
const unaryGraceMs = 5_000;

const cancelCall = createContextKey<(hasEnded: boolean) => void>(() => {}, { description: 'cuts the call off' });

/** Notes how a call can be cut off, whatever its handler is doing: over HTTP/2 its stream, over HTTP/1.1 its connection. */
export function registerCancel(request: Parameters<Handler>[0], values: ContextValues): ContextValues {
  return values.set(cancelCall, (hasEnded) => {
    // Also when the handler has ended: a reader who takes nothing has not got the answer, and goes on sending.
    if ('stream' in request) request.stream.close(constants.NGHTTP2_CANCEL);
    // By then the connection may have been given to another caller.
    else if (!hasEnded) request.socket.destroy();
  });
}

/**
 * Cuts a call off soon after its key has ended, if it has not ended by itself. Handlers see the key's signal where they wait and
 * between two messages; one that is held up by a reader who takes nothing, or by a body that does not come, sees nothing.
 */
export function cancelOnRevocation(
  keyEnded: AbortSignal | undefined,
  { method, signal, values }: Pick<HandlerContext, 'method' | 'signal' | 'values'>,
): void {
  const graceMs = method.methodKind === 'unary' ? unaryGraceMs : streamGraceMs;
  const cancelLater = () => setTimeout(() => values.get(cancelCall)(signal.aborted), graceMs).unref();
  keyEnded?.addEventListener('abort', cancelLater, { once: true, signal });
}

/** Refuses calls whose key has ended while their request was on its way, or while they waited for their turn. */
export function keyRevocationInterceptor(): Interceptor {
  return (next) => async (request) => {
    if (request.contextValues.get(principalKey)?.signal?.aborted) throw invalidKey();
    return next(request);
  };
}
