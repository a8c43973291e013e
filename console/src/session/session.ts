import { createContext, useContext } from 'react';
import { Role } from '../../../gen/brokkr/v1/options_pb.ts';
import type { WhoAmIResponse } from '../../../gen/brokkr/v1/pak_pb.ts';
import { type Clients, connect } from './transport.ts';

/** A signed-in caller and its clients. Nothing of it is stored: it ends with the page. */
export interface Session extends Clients {
  readonly caller: WhoAmIResponse;
  /** True except for a read-only admin. */
  readonly canWrite: boolean;
  /** True for an admin, read-only or not. */
  readonly seesAll: boolean;
  /** True for an admin who may change everything. */
  readonly isAdmin: boolean;
}

/**
 * Signs in with a key. Rejects when the broker refuses it or cannot be reached, and when the key belongs to an agent.
 *
 * @param onEnded called when the broker later stops accepting the key.
 */
export async function signIn(pak: string, onEnded: () => void): Promise<Session> {
  let signedIn = false;
  const clients = connect(pak, () => signedIn && onEnded());
  const caller = await clients.broker.whoAmI({});
  if (caller.role === Role.AGENT)
    throw new Error('This key belongs to an agent. Sign in with the key of an admin or a generator.');
  signedIn = true;
  const isAdmin = caller.role === Role.ADMIN;
  return {
    ...clients,
    caller,
    isAdmin,
    canWrite: caller.role !== Role.READ_ONLY,
    seesAll: isAdmin || caller.role === Role.READ_ONLY,
  };
}

export const SessionContext = createContext<Session | undefined>(undefined);

/** Returns the session. Throws outside a session: views are shown only while there is one. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('a view was rendered without a session');
  return session;
}
