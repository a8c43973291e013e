import { randomBytes } from 'node:crypto';
import { argon2id, hash, verify } from 'argon2';
import { Refusal } from '../refusal.ts';

// A key has 256 random bits, so the hash only has to hide it; it need not slow down guesses.
const cost = { type: argon2id, memoryCost: 1024, timeCost: 1, parallelism: 1 } as const;

export function hashSecret(text: string): Promise<string> {
  return hash(text, cost);
}

/** Runs verifications with bounded concurrency, in order of arrival. */
export interface VerificationQueue {
  /** RESOURCE_EXHAUSTED when too many are waiting already. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** Creates a queue that runs at most `concurrency` verifications at once and lets at most `maxWaiting` wait. */
export function createVerificationQueue(concurrency: number, maxWaiting: number): VerificationQueue {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async run(work) {
      if (running >= concurrency) {
        if (waiting.length >= maxWaiting)
          throw new Refusal('resource_exhausted', 'too many keys wait to be verified: try again later');
        await new Promise<void>((resolve) => waiting.push(resolve));
      } else running += 1;
      try {
        return await work();
      } finally {
        // The place goes to the next in line directly, so that a newcomer cannot overtake.
        const next = waiting.shift();
        if (next) next();
        else running -= 1;
      }
    },
  };
}

/** Returns a function that verifies a key against its hash. Without a hash it does the same work and returns false. */
export function createVerifier(): (hashed: string | undefined, text: string) => Promise<boolean> {
  const dummy = hashSecret(randomBytes(32).toString('base64url'));
  return async (hashed, text) => {
    const matches = await verify(hashed ?? (await dummy), text);
    return matches && hashed !== undefined;
  };
}
