import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';

export interface Attempts {
  /**
   * Runs the verification of a key that is not remembered; it answers undefined for a bad one. After too many bad ones from an address,
   * or under a short token, further attempts take turns, one every 200 ms for each address. A key that was good from this address
   * before does not wait for others of the address, and one that is attacked from elsewhere waits for a turn of its own address.
   */
  run<T>(source: string, short: string, verify: () => Promise<T | undefined>): Promise<T | undefined>;
}

/** So many bad attempts are free; one is forgiven a second. */
const free = 10;
const turnMs = 200;
const maxWaiting = 50;
const maxKept = 10_000;

interface Level {
  value: number;
  at: number;
}

/** Slows guessing down. Memory is bounded: of more than 10,000 addresses or short tokens, those seen longest ago are forgotten. */
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
  const succeeded = (key: string) => {
    good.delete(key);
    good.add(key);
    const [oldest] = good.size > maxKept ? good : [];
    if (oldest !== undefined) good.delete(oldest);
  };
  const takeTurn = async (source: string) => {
    const lane = lanes.get(source) ?? { waiting: 0, last: Promise.resolve() };
    if (lane.waiting >= maxWaiting) {
      throw new Refusal('exhausted', 'too many failed attempts from this address: try again later', {
        reason: 'TOO_MANY_ATTEMPTS',
      });
    }
    lanes.set(source, lane);
    lane.waiting += 1;
    const turn = lane.last.then(() => sleep(turnMs));
    lane.last = turn;
    await turn;
    lane.waiting -= 1;
    if (lane.waiting === 0) lanes.delete(source);
  };

  return {
    async run(source, short, verify) {
      const keys = [`from ${source}`, `as ${short}`];
      const known = `${source} ${short}`;
      const slowed = keys.some((key) => levelOf(key) >= free);
      // In a lane of its own: whoever floods from the same address with other keys does not keep it out.
      if (slowed) await takeTurn(good.has(known) ? known : source);
      const found = await verify();
      if (found === undefined) for (const key of keys) failed(key);
      else succeeded(known);
      return found;
    },
  };
}
