import { createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { invalidKey } from '../../access/rules.ts';
import { type EndingCall, lifetimeOf } from '../lifetime.ts';
import { principalKey } from '../principal.ts';

/**
 * Time that a call has to end by itself after its key was revoked. A stream sends its final error. A unary call may have revoked its
 * own key, and its response, which contains the new one, must still be sent.
 */
const streamGraceMs = 500;
const unaryGraceMs = 5_000;

/** Cancels a call whatever its handler is doing; it is told whether the handler has ended. */
export const cancelKey = createContextKey<(hasEnded: boolean) => void>(() => {}, { description: 'cancels the call' });

/** The running calls of each key, as functions that cancel them later: one listener a key costs less than one a call. */
const runningCalls = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Cancels a call that has not ended by itself soon after its key was revoked. Handlers check the key's signal where they wait and
 * between messages; a handler that is blocked by a client that does not read, or by a body that does not arrive, cannot.
 */
export function cancelOnRevocation(
  keyRevoked: AbortSignal | undefined,
  call: EndingCall & Pick<HandlerContext, 'method' | 'values'>,
): void {
  if (!keyRevoked) return;
  const lifetime = lifetimeOf(call);
  const graceMs = call.method.methodKind === 'unary' ? unaryGraceMs : streamGraceMs;
  const cancelLater = () => void setTimeout(() => call.values.get(cancelKey)(lifetime.ended), graceMs).unref();
  const calls = callsOf(keyRevoked);
  calls.add(cancelLater);
  lifetime.onEnd(() => calls.delete(cancelLater));
}

function callsOf(keyRevoked: AbortSignal): Set<() => void> {
  const known = runningCalls.get(keyRevoked);
  if (known) return known;
  const calls = new Set<() => void>();
  runningCalls.set(keyRevoked, calls);
  keyRevoked.addEventListener('abort', () => calls.forEach((cancelLater) => void cancelLater()), { once: true });
  return calls;
}

/** Refuses calls whose key was revoked while their request arrived or while they waited in a queue. */
export function keyRevocationInterceptor(): Interceptor {
  return (next) => async (request) => {
    if (request.contextValues.get(principalKey)?.signal?.aborted) throw invalidKey();
    return next(request);
  };
}
