import { createHmac, randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { Refusal } from '../refusal.ts';
import type { Feed } from '../store/feed.ts';
import type { Database } from '../store/orm.ts';
import { createGate, createVerifier } from './argon.ts';
import { createShorts } from './key-lookup-batcher.ts';
import { createUses } from './last-used.ts';
import { networkOf } from './network.ts';
import { parsePak } from './pak.ts';
import type { Principal } from './principal.ts';
import { invalidKey } from './rules.ts';
import { createSessions, type Session } from './sessions.ts';
import { keyByShort } from './store.ts';
import { createAttempts, isThrottled } from './throttle.ts';

/** Why a caller is not let in. Callers are not told which it was; whoever watches the broker is. */
export const authFailures = ['missing', 'malformed', 'unknown', 'wrong', 'ended', 'throttled', 'role'] as const;
export type AuthFailure = (typeof authFailures)[number];

/** Who is calling, from the keys that callers present. */
export interface Keys {
  /**
   * Whom a key speaks for. Its signal aborts when the key ends. Refuses with the same words a key that is malformed, unknown, wrong,
   * revoked or expired; while the database is gone, refuses everybody with UNAVAILABLE.
   */
  authenticate(pak: string | undefined, source: string): Promise<Principal>;
  /**
   * Counts a use of a principal that `authenticate` returned, if it may still be trusted without reading anything; answers whether it
   * may. If not, the caller has to be authenticated again.
   */
  isCurrent(principal: Principal): boolean;
  close(): Promise<void>;
}

const verificationsAtOnce = 4;
/** A whole fleet that connects at once must fit: at 1,000 verifications a second this is done within a call's deadline. */
const verificationsWaiting = 20_000;

/** Verifies each key once, then remembers it until the feed says that it changed. */
export function createKeys(
  db: Database,
  feed: Feed,
  log: Logger,
  now: () => Date,
  failed: (kind: AuthFailure) => void,
): Keys {
  const secret = randomBytes(32);
  const attempts = createAttempts(() => now().getTime());
  const gate = createGate(verificationsAtOnce, verificationsWaiting);
  const verify = createVerifier();
  const isKnown = createShorts(db);
  const sessions = createSessions(db, feed, log, now);
  const uses = createUses(db, log, now);
  const underWay = new Map<string, Promise<Session>>();

  const verifyNew = async (digest: string, text: string, short: string, source: string): Promise<Session> => {
    const since = sessions.mark();
    let why: AuthFailure = 'unknown';
    const verifyInTurn = () =>
      gate.run(async () => {
        const found = await keyByShort(db, short);
        // Both questions are asked whatever the first answer is: an unknown key takes as long as a wrong or an ended one.
        const matches = await verify(found?.hash, text);
        if (matches && found?.live) return found;
        why = !found ? 'unknown' : matches ? 'ended' : 'wrong';
        return undefined;
      });
    const row = await attempts
      .run(
        { source: networkOf(source), short, digest },
        {
          verify: verifyInTurn,
          verifyIfKnown: async () => ((await isKnown(short)) ? verifyInTurn() : gate.run(async () => undefined)),
        },
      )
      .catch((error: unknown) => {
        if (isThrottled(error)) failed('throttled');
        throw error;
      });
    if (!row) {
      failed(why);
      throw invalidKey();
    }
    return sessions.open(digest, row, since);
  };

  /** Calls that present the same new key at once share its verification. */
  const verifyOnce = (digest: string, text: string, short: string, source: string): Promise<Session> => {
    const running =
      underWay.get(digest) ?? verifyNew(digest, text, short, source).finally(() => underWay.delete(digest));
    underWay.set(digest, running);
    return running;
  };

  return {
    async authenticate(pak, source) {
      if (pak === undefined) {
        failed('missing');
        throw new Refusal('unauthenticated', 'no key: send metadata "authorization: Bearer <PAK>"');
      }
      if (!feed.available()) throw new Refusal('unavailable', 'the database does not answer');
      const parsed = parsePak(pak);
      if (!parsed) {
        failed('malformed');
        throw invalidKey();
      }
      const digest = createHmac('sha256', secret).update(pak).digest('base64');
      const session = (await sessions.current(digest)) ?? (await verifyOnce(digest, pak, parsed.short, source));
      if (!sessions.isLive(session)) {
        failed('ended');
        throw invalidKey();
      }
      uses.note(session.keyId);
      return session.principal;
    },
    isCurrent(principal) {
      const isCurrent = feed.available() && sessions.isCurrent(principal);
      if (isCurrent) uses.note(principal.keyId);
      return isCurrent;
    },
    async close() {
      sessions.close();
      await uses.close();
    },
  };
}
