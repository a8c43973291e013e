import { Refusal } from '../../refusal.ts';
import type { Lifetime } from '../lifetime.ts';

/** Bounds the bytes that are held for calls at a time, in all and for each caller. */
export interface ByteBudget {
  /** Reserves bytes until the call ends. Throws `resource_exhausted` when the caller, or all of them together, hold too many. */
  reserve(caller: string, bytes: number, lifetime: Lifetime): void;
  /** Returns the bytes that are reserved now. */
  reserved(): number;
}

/** Limits of a budget, in bytes. They are read at each use, so a getter can change them at run time. */
export interface ByteBudgetOptions {
  readonly total: number;
  readonly perCaller: number;
}

/** Creates a budget. A caller that holds nothing gets its bytes whenever the total allows, however few one caller may hold. */
export function createByteBudget(limits: ByteBudgetOptions): ByteBudget {
  const held = new Map<string, number>();
  let total = 0;
  const change = (caller: string, by: number) => {
    total += by;
    const left = (held.get(caller) ?? 0) + by;
    if (left > 0) held.set(caller, left);
    else held.delete(caller);
  };
  return {
    reserved: () => total,
    reserve(caller, bytes, lifetime) {
      const own = held.get(caller) ?? 0;
      if (own > 0 && own + bytes > limits.perCaller) throw exhausted('of this caller');
      if (total > 0 && total + bytes > limits.total) throw exhausted('of all callers');
      change(caller, bytes);
      lifetime.onEnd(() => change(caller, -bytes));
    },
  };
}

function exhausted(whose: string): Refusal {
  return new Refusal(
    'resource_exhausted',
    `the requests ${whose} that have not arrived yet are too large: try again later`,
    {
      reason: 'TOO_MANY_BYTES',
    },
  );
}
