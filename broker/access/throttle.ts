import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';

/** A key that is not remembered, as it is presented. */
export interface Attempt {
  /** Where it comes from. */
  readonly source: string;
  /** Its public part, which anybody may know. */
  readonly short: string;
  /** Of its whole text. */
  readonly digest: string;
}

export interface Verification<T> {
  /** Answers undefined for a bad key, after the same work for each. */
  verify(): Promise<T | undefined>;
  /** The same for a key whose short token exists; for another one nothing, after as long a wait. */
  verifyIfKnown(): Promise<T | undefined>;
}

export interface Attempts {
  /**
   * Verifies a key; answers undefined for a bad one. After too many bad ones from an address, or under a short token, the answer
   * to a bad one waits for its turn, one every 200 ms for each address. A good key does not: those that exist are verified
   * meanwhile, in turns of their own if their short token is attacked, and one that was good before at once. A bad key is
   * answered alike, whether its short token exists or not.
   */
  run<T>(attempt: Attempt, verification: Verification<T>): Promise<T | undefined>;
}

/** Whether an attempt was refused because too many bad ones came from its address. */
export function isThrottled(error: unknown): boolean {
  return error instanceof Refusal && error.reason === 'TOO_MANY_ATTEMPTS';
}

/** So many bad attempts are free; one is forgiven a second. */
const free = 10;
const turnMs = 200;
const maxWaiting = 50;
/** One for whom there is no room is told after this long: by then, a good key is in. */
const refuseAfterMs = 1_000;
const maxKept = 10_000;

interface Level {
  value: number;
  at: number;
}

/** Slows guessing down. Memory is bounded: of more than 10,000 addresses, short tokens or good keys, those seen longest ago are forgotten. */
export function createAttempts(now: () => number): Attempts {
  const levels = new Map<string, Level>();
  const good = new Set<string>();
  const lanes = new Map<string, { waiting: number; last: Promise<unknown> }>();

  const levelOf = (key: string): number => {
    const level = levels.get(key);
    return level ? Math.max(0, level.value - (now() - level.at) / 1_000) : 0;
  };
  const failed = (key: string) => {
    const value = Math.min(levelOf(key) + 1, 10 * free);
    levels.delete(key);
    levels.set(key, { value, at: now() });
    const [oldest] = levels.size > maxKept ? levels.keys() : [];
    if (oldest !== undefined) levels.delete(oldest);
  };
  const succeeded = (digest: string) => {
    good.delete(digest);
    good.add(digest);
    const [oldest] = good.size > maxKept ? good : [];
    if (oldest !== undefined) good.delete(oldest);
  };
  /** Undefined when too many wait for theirs. */
  const turnOf = (name: string): Promise<void> | undefined => {
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

  const slowly = async <T>({ source, short }: Attempt, isAttacked: boolean, work: Verification<T>) => {
    let found: T | undefined;
    const turn = turnOf(`from ${source}`);
    const ownTurn = isAttacked ? turnOf(`from ${source} as ${short}`) : Promise.resolve();
    const ahead = Promise.resolve(ownTurn)
      .then(() => (ownTurn ? work.verifyIfKnown() : undefined))
      .then((one) => (found = one));
    const inTurn = async () => {
      if (turn) {
        await turn;
        return found ?? work.verify();
      }
      await Promise.all([ahead, sleep(refuseAfterMs)]);
      if (found !== undefined) return found;
      throw new Refusal('resource_exhausted', 'too many failed attempts from this address: try again later', {
        reason: 'TOO_MANY_ATTEMPTS',
      });
    };
    return new Promise<T | undefined>((settle, refuse) => {
      ahead.then((one) => one !== undefined && settle(one), refuse);
      inTurn().then(settle, refuse);
    });
  };

  return {
    async run(attempt, work) {
      const from = `from ${attempt.source}`;
      const as = `as ${attempt.short}`;
      const isAttacked = levelOf(as) >= free;
      const isSlowed = (isAttacked || levelOf(from) >= free) && !good.has(attempt.digest);
      const found = await (isSlowed ? slowly(attempt, isAttacked, work) : work.verify());
      if (found !== undefined) succeeded(attempt.digest);
      else {
        good.delete(attempt.digest);
        failed(from);
        failed(as);
      }
      return found;
    },
  };
}
