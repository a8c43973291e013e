import { createContext, useContext } from 'react';
import { Role } from '../../../gen/brokkr/v1/options_pb.ts';
import type { WhoAmIResponse } from '../../../gen/brokkr/v1/pak_pb.ts';
import { type Clients, connect } from './transport.ts';

/** Somebody who is signed in: gone with the page, since nothing of it is stored. */
export interface Session extends Clients {
  readonly who: WhoAmIResponse;
  /** May change things: not a read-only admin. */
  readonly writes: boolean;
  /** Sees everything: an admin, read-only or not. */
  readonly sees: boolean;
  /** May change everything. */
  readonly rules: boolean;
}

/** Asks whose key it is. Rejects when the broker refuses it or cannot be reached, and for an agent's. */
export async function signIn(pak: string, onEnded: () => void): Promise<Session> {
  let signedIn = false;
  const clients = connect(pak, () => signedIn && onEnded());
  const who = await clients.broker.whoAmI({});
  if (who.role === Role.AGENT)
    throw new Error(
      'This is an agent’s key: its agent uses it, people do not. Sign in with an admin’s or a generator’s.',
    );
  signedIn = true;
  const rules = who.role === Role.ADMIN;
  return { ...clients, who, rules, writes: who.role !== Role.READ_ONLY, sees: rules || who.role === Role.READ_ONLY };
}

export const SessionContext = createContext<Session | undefined>(undefined);

/** The session of the views, which are only there while there is one. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('a view is shown without a session');
  return session;
}
