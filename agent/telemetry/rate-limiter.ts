/** Maximum number of items and bytes within a second. */
export interface Rate {
  readonly items: number;
  readonly bytes: number;
}

/** Limits a rate by fixed windows of a second, so that the excess is left out in one piece rather than every other line. */
export interface RateLimiter {
  /** Returns whether an item of this size is within the rate; an item that is not uses up nothing. */
  admit(bytes: number): boolean;
  /** Bytes of all items of this window, admitted or not. */
  readonly offered: number;
}

const windowMs = 1_000;

/** Creates a limiter; `now` returns a time in milliseconds. */
export function createRateLimiter(rate: Rate, now: () => number = () => performance.now()): RateLimiter {
  let windowStart = Number.NEGATIVE_INFINITY;
  let items = 0;
  let bytes = 0;
  let offered = 0;
  return {
    admit(size) {
      if (now() - windowStart >= windowMs) {
        windowStart = now();
        items = 0;
        bytes = 0;
        offered = 0;
      }
      offered += size;
      if (items + 1 > rate.items || bytes + size > rate.bytes) return false;
      items += 1;
      bytes += size;
      return true;
    },
    get offered() {
      return offered;
    },
  };
}
