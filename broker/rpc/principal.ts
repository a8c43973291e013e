import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { Principal } from '../access/principal.ts';

export const principalKey = createContextKey<Principal | undefined>(undefined, { description: 'who is calling' });

/** Returns the caller, which the authentication recorded; no handler runs without one. */
export function principalOf(context: Pick<HandlerContext, 'values'>): Principal {
  const principal = context.values.get(principalKey);
  if (!principal) throw new Error('a handler ran without authentication');
  return principal;
}

/** Aborts when the call, its caller's key or the broker ends: what streams, or waits, ends with it. */
export function endOf(context: Pick<HandlerContext, 'signal' | 'values'>, closing: AbortSignal): AbortSignal {
  const { signal } = principalOf(context);
  return AbortSignal.any([context.signal, closing, ...(signal ? [signal] : [])]);
}

/** Once that has ended which ends the call: throws the refusal of the key or of the closing broker; not when the caller ended it. */
export function refuseEnded(context: Pick<HandlerContext, 'values'>, closing: AbortSignal): void {
  principalOf(context).signal?.throwIfAborted();
  closing.throwIfAborted();
}
