import { randomBytes } from 'node:crypto';
import { argon2id, hash, verify } from 'argon2';
import { Refusal } from '../refusal.ts';

// A key has 256 random bits: the hash has to hide it, not to slow down guesses at it.
const cost = { type: argon2id, memoryCost: 1024, timeCost: 1, parallelism: 1 } as const;

export function hashSecret(text: string): Promise<string> {
  return hash(text, cost);
}

export interface Gate {
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** Lets `width` pieces of work run at once and `waiting` more wait their turn; refuses the rest. */
export function createGate(width: number, waiting: number): Gate {
  const queue: (() => void)[] = [];
  let running = 0;
  return {
    async run(work) {
      if (running >= width) {
        if (queue.length >= waiting)
          throw new Refusal('resource_exhausted', 'too many keys wait to be verified: try again later');
        await new Promise<void>((resolve) => queue.push(resolve));
      } else running += 1;
      try {
        return await work();
      } finally {
        // The place is handed on, so nobody who comes now can overtake.
        const next = queue.shift();
        if (next) next();
        else running -= 1;
      }
    },
  };
}

/** Verifies a key against its hash; without a hash, does the same work and says no. */
export function createVerifier(): (hashed: string | undefined, text: string) => Promise<boolean> {
  const dummy = hashSecret(randomBytes(32).toString('base64url'));
  return async (hashed, text) => {
    const matches = await verify(hashed ?? (await dummy), text);
    return matches && hashed !== undefined;
  };
}
