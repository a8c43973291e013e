import type { Principal } from '../../access/principal.ts';
import type { EndingCall } from '../lifetime.ts';
import { lifetimeOf } from '../lifetime.ts';
import { createByteBudget } from './byte-budget.ts';

/** Bounds the bytes of requests that arrive slowly or wait, so that no caller can fill the broker's memory with them. */
export interface RequestBudget {
  /**
   * Reserves memory for a request that has not arrived completely, until its call ends. Calls without a key share a small budget,
   * by address. Throws `resource_exhausted`.
   */
  reserve(
    bytes: number,
    call: EndingCall,
    caller: { readonly principal: Principal | undefined; readonly source: string },
  ): void;
}

/** Part of the broker's memory for requests: a sixth, of which one caller gets a quarter. */
const memoryShare = 1 / 6;
const callerShare = 1 / 4;
const minRequestBytes = 64 << 20;
const withoutKey = { total: 8 << 20, perCaller: 1 << 20 };

/** Creates the budget of a broker that may use `memoryBytes`. */
export function createRequestBudget(memoryBytes: () => number): RequestBudget {
  const total = () => Math.max(memoryBytes() * memoryShare, minRequestBytes);
  const byKey = createByteBudget({
    get total() {
      return total();
    },
    get perCaller() {
      return total() * callerShare;
    },
  });
  const byAddress = createByteBudget(withoutKey);
  return {
    reserve(bytes, call, { principal, source }) {
      const lifetime = lifetimeOf(call);
      if (principal) byKey.reserve(principal.ownerId, bytes, lifetime);
      else byAddress.reserve(source, bytes, lifetime);
    },
  };
}
