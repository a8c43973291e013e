import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';

/** An attempt to authenticate with a key that has no session. */
export interface Attempt {
  /** The address or network that it comes from. */
  readonly source: string;
  /** The key's short token, which is public. */
  readonly short: string;
  /** Digest of the key's whole text. */
  readonly digest: string;
}

export interface Verification<T> {
  /** Returns undefined for a bad key, after the same work for each. */
  verify(): Promise<T | undefined>;
  /** Verifies a key whose short token exists; for any other, returns undefined after waiting as long. */
  verifyIfKnown(): Promise<T | undefined>;
}

export interface Throttle {
  /**
   * Verifies a key; returns undefined for a bad one. After too many bad keys from an address, or under a short token, the answer to a
   * bad key waits for its turn: one every 200 ms for each address. A good key does not wait: keys that exist are verified meanwhile
   * (in turns of their own if their short token is attacked), and one that was good before is verified at once. A bad key gets the
   * same answer at the same time whether its short token exists or not.
   */
  run<T>(attempt: Attempt, verification: Verification<T>): Promise<T | undefined>;
}

/** Answers whether an attempt was refused because too many failed from its address. */
export function isThrottled(error: unknown): boolean {
  return error instanceof Refusal && error.reason === 'TOO_MANY_ATTEMPTS';
}

/** Failures that slow nobody down. One failure is forgiven every second. */
const freeFailures = 10;
const turnMs = 200;
const maxWaiting = 50;
/** Delay before an attempt is refused when too many wait: by then, a good key has been verified. */
const refuseAfterMs = 1_000;
const maxEntries = 10_000;

/** The failures of one address or short token that are not forgiven yet. */
interface FailureLevel {
  value: number;
  at: number;
}

/**
 * Creates the throttle that slows down guessing. Memory is bounded: beyond 10,000 addresses and short tokens, or good keys, the ones
 * seen longest ago are forgotten.
 */
export function createThrottle(now: () => number): Throttle {
  const levels = new Map<string, FailureLevel>();
  const goodDigests = new Set<string>();
  const lanes = new Map<string, { waiting: number; last: Promise<unknown> }>();

  const levelOf = (key: string): number => {
    const level = levels.get(key);
    return level ? Math.max(0, level.value - (now() - level.at) / 1_000) : 0;
  };
  const noteFailure = (key: string) => {
    const value = Math.min(levelOf(key) + 1, 10 * freeFailures);
    levels.delete(key);
    levels.set(key, { value, at: now() });
    const [oldest] = levels.size > maxEntries ? levels.keys() : [];
    if (oldest !== undefined) levels.delete(oldest);
  };
  const noteSuccess = (digest: string) => {
    goodDigests.delete(digest);
    goodDigests.add(digest);
    const [oldest] = goodDigests.size > maxEntries ? goodDigests : [];
    if (oldest !== undefined) goodDigests.delete(oldest);
  };
  /** Resolves at the caller's turn in a lane. Undefined when too many are waiting there. */
  const takeTurn = (name: string): Promise<void> | undefined => {
    const lane = lanes.get(name) ?? { waiting: 0, last: Promise.resolve() };
    if (lane.waiting >= maxWaiting) return undefined;
    lanes.set(name, lane);
    lane.waiting += 1;
    const turn = lane.last
      .then(() => sleep(turnMs))
      .then(() => {
        lane.waiting -= 1;
        if (lane.waiting === 0) lanes.delete(name);
      });
    lane.last = turn;
    return turn;
  };

  const runSlowed = async <T>({ source, short }: Attempt, isAttacked: boolean, work: Verification<T>) => {
    let verified: T | undefined;
    const turn = takeTurn(`from ${source}`);
    const ownTurn = isAttacked ? takeTurn(`from ${source} as ${short}`) : Promise.resolve();
    const early = Promise.resolve(ownTurn)
      .then(() => (ownTurn ? work.verifyIfKnown() : undefined))
      .then((result) => (verified = result));
    const inTurn = async () => {
      if (turn) {
        await turn;
        return verified ?? work.verify();
      }
      await Promise.all([early, sleep(refuseAfterMs)]);
      if (verified !== undefined) return verified;
      throw new Refusal('resource_exhausted', 'too many failed attempts from this address: try again later', {
        reason: 'TOO_MANY_ATTEMPTS',
      });
    };
    return new Promise<T | undefined>((resolve, reject) => {
      early.then((result) => result !== undefined && resolve(result), reject);
      inTurn().then(resolve, reject);
    });
  };

  return {
    async run(attempt, work) {
      const sourceKey = `from ${attempt.source}`;
      const shortKey = `as ${attempt.short}`;
      const isAttacked = levelOf(shortKey) >= freeFailures;
      const isSlowed = (isAttacked || levelOf(sourceKey) >= freeFailures) && !goodDigests.has(attempt.digest);
      const result = await (isSlowed ? runSlowed(attempt, isAttacked, work) : work.verify());
      if (result !== undefined) noteSuccess(attempt.digest);
      else {
        goodDigests.delete(attempt.digest);
        noteFailure(sourceKey);
        noteFailure(shortKey);
      }
      return result;
    },
  };
}
