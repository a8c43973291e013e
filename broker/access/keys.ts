import { createHmac, randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { Refusal } from '../refusal.ts';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { createVerificationQueue, createVerifier } from './argon.ts';
import { createKeyLookup } from './key-lookup-batcher.ts';
import { createLastUsedWriter } from './last-used.ts';
import { networkOf } from './network.ts';
import { parsePak } from './pak.ts';
import type { Principal } from './principal.ts';
import { invalidKey } from './rules.ts';
import { createSessionCache, type Session } from './sessions.ts';
import { keyByShort } from './store.ts';
import { createThrottle, isThrottled } from './throttle.ts';

/** The reasons why a caller is not let in. Callers never learn which one it was; the metrics of the broker show it. */
export const authFailures = ['missing', 'malformed', 'unknown', 'wrong', 'ended', 'throttled', 'role'] as const;
export type AuthFailure = (typeof authFailures)[number];

/** Authenticates callers by their keys. */
export interface Keys {
  /**
   * Returns the principal that a key stands for; its signal aborts when the key ends. A key that is malformed, unknown, wrong, revoked
   * or expired is refused with the same message. While the database is gone, every key is refused with UNAVAILABLE.
   */
  authenticate(pak: string | undefined, source: string): Promise<Principal>;
  /**
   * Counts a use of a principal that `authenticate` returned, if it may still be trusted without reading anything; answers whether it
   * may. If not, the caller has to be authenticated again.
   */
  isCurrent(principal: Principal): boolean;
  close(): Promise<void>;
}

const concurrentVerifications = 4;
/** Holds a whole fleet that connects at once: at 1,000 verifications a second, all are done within a call's deadline. */
const maxWaitingVerifications = 20_000;

/** Verifies each key once, then remembers it until the feed announces that it changed. */
export function createKeys(
  db: Database,
  feed: Feed,
  log: Logger,
  now: () => Date,
  failed: (failure: AuthFailure) => void,
): Keys {
  const secret = randomBytes(32);
  const sessions = createSessionCache(db, feed, log, now);
  const lastUsed = createLastUsedWriter(db, log, now);
  const verifyKey = createKeyVerification(db, now, failed);
  const running = new Map<string, Promise<Session>>();

  /** Calls that present the same new key at once share its verification. */
  const openSession = (key: PresentedKey): Promise<Session> => {
    const open = async () => {
      const mark = sessions.mark();
      return sessions.open(key.digest, await verifyKey(key), mark);
    };
    const session = running.get(key.digest) ?? open().finally(() => running.delete(key.digest));
    running.set(key.digest, session);
    return session;
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
      const session =
        (await sessions.current(digest)) ?? (await openSession({ digest, text: pak, short: parsed.short, source }));
      if (!sessions.isValid(session)) {
        failed('ended');
        throw invalidKey();
      }
      lastUsed.note(session.keyId);
      return session.principal;
    },
    isCurrent(principal) {
      const isCurrent = feed.available() && sessions.isCurrent(principal);
      if (isCurrent) lastUsed.note(principal.keyId);
      return isCurrent;
    },
    async close() {
      sessions.close();
      await lastUsed.close();
    },
  };
}

/** A key as a caller presents it. */
interface PresentedKey {
  readonly digest: string;
  readonly text: string;
  readonly short: string;
  readonly source: string;
}

/** Returns a function that reads a key's row and verifies the key, throttled by address and short token. It refuses invalid keys. */
function createKeyVerification(db: Database, now: () => Date, failed: (failure: AuthFailure) => void) {
  const throttle = createThrottle(() => now().getTime());
  const queue = createVerificationQueue(concurrentVerifications, maxWaitingVerifications);
  const verify = createVerifier();
  const isKnown = createKeyLookup(db);

  return async ({ digest, text, short, source }: PresentedKey) => {
    let failure: AuthFailure = 'unknown';
    const verifyInTurn = () =>
      queue.run(async () => {
        const found = await keyByShort(db, short);
        // The hash is computed in any case: an unknown key takes as long as a wrong or an ended one.
        const matches = await verify(found?.hash, text);
        if (matches && found?.isValid) return found;
        failure = !found ? 'unknown' : matches ? 'ended' : 'wrong';
        return undefined;
      });
    const verifyIfKnown = async () => ((await isKnown(short)) ? verifyInTurn() : queue.run(async () => undefined));
    const attempt = { source: networkOf(source), short, digest };
    const row = await throttle.run(attempt, { verify: verifyInTurn, verifyIfKnown }).catch((error: unknown) => {
      if (isThrottled(error)) failed('throttled');
      throw error;
    });
    if (!row) {
      failed(failure);
      throw invalidKey();
    }
    return row;
  };
}
