import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import { NIL } from 'uuid';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';

/** Who is calling. The same object for as long as the key lives. */
export interface Principal {
  readonly keyId: string;
  readonly role: Role;
  /** Id of the agent or generator; of an admin, of the key. */
  readonly ownerId: string;
  /** Name of the agent or generator; of an admin, of the key. */
  readonly ownerName: string;
  /** The key's public part: role and short token. */
  readonly shortToken: string;
  /** Aborts, with the refusal that the next call would get, when the key ends: streams and long polls end with it. */
  readonly signal: AbortSignal | undefined;
}

export const principalKey = createContextKey<Principal | undefined>(undefined, { description: 'who is calling' });

/** Who is calling. The gate has put it there; without it, no handler runs. */
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

/** Whose rows the caller may see: its own id for a generator, null (all) for admins. Nobody's for an agent. */
export function ownerOf(principal: Principal): string | null {
  switch (principal.role) {
    case Role.ADMIN:
    case Role.READ_ONLY:
      return null;
    case Role.GENERATOR:
      return principal.ownerId;
    default:
      // No row has it.
      return NIL;
  }
}
