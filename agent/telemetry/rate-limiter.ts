/** How much may pass within a second. */
export interface Rate {
  readonly items: number;
  readonly bytes: number;
}

/** Counts by the second, so that what is over a rate is left out in one piece, and not every other line. */
export interface Meter {
  /** Whether this may pass; what may not is not counted as passed. */
  admit(bytes: number): boolean;
  /** Bytes of everything that came in this second, passed or not. */
  readonly offered: number;
}

const windowMs = 1_000;

export function createMeter(rate: Rate, now: () => number = () => performance.now()): Meter {
  let began = Number.NEGATIVE_INFINITY;
  let items = 0;
  let bytes = 0;
  let offered = 0;
  return {
    admit(size) {
      if (now() - began >= windowMs) {
        began = now();
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
