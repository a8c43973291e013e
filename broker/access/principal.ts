import { NIL } from 'uuid';
import type { Actor } from '../audit/rules.ts';
import { type KeyRole, type PakRow, shortToken } from './rules.ts';

/** An authenticated caller. It stays the same object for as long as its key lives. */
export interface Principal {
  readonly keyId: string;
  readonly role: KeyRole;
  /** Id of the agent or generator; of an admin, of the key. */
  readonly ownerId: string;
  /** Name of the agent or generator; of an admin, of the key. */
  readonly ownerName: string;
  /** The key's public part: role and short token. */
  readonly shortToken: string;
  /** Aborts when the key ends, with the refusal that the next call would get: streams and long polls end with it. */
  readonly signal: AbortSignal | undefined;
}

/** Returns the principal of a verified key. */
export function toPrincipal(row: PakRow, signal: AbortSignal): Principal {
  return {
    keyId: row.id,
    role: row.role,
    ownerId: row.ownerId,
    ownerName: row.owner,
    shortToken: shortToken(row),
    signal,
  };
}

/**
 * Returns the id of the generator whose rows the caller may see, or null for an admin, who sees all rows. An agent gets an id that
 * no row has.
 */
export function ownerOf(principal: Principal): string | null {
  switch (principal.role) {
    case 'ad':
    case 'ro':
      return null;
    case 'ge':
      return principal.ownerId;
    case 'ag':
    case 'en':
      return NIL;
  }
}

/** Returns the caller as the audit log names it. */
export function actorOf({ role, ownerId, ownerName, shortToken }: Principal): Actor {
  return { role, id: ownerId, name: ownerName, shortToken };
}
