/** Defers repairs of objects that somebody else keeps reverting. */
export interface RepairBackoff {
  /** Returns for how many milliseconds an object must be left as it is; 0 when it may be repaired now. */
  waitMs(key: string, now: number): number;
  /** Records a repair. Returns the milliseconds that the next repair has to wait; undefined while repairs are not contested. */
  repaired(key: string, now: number): number | undefined;
}

/** This many repairs within `contestWindowMs` mean that somebody keeps reverting them. */
const contestRepairs = 5;
const contestWindowMs = 60_000;
const firstWaitMs = 10_000;
const longestWaitMs = 600_000;
/** Without a repair for this long after a wait, the backoff starts over. */
const calmMs = 60_000;
/** Objects whose repairs are remembered; the ones that were repaired longest ago are forgotten first. */
const capacity = 10_000;

interface RepairHistory {
  /** Times of the latest repairs. */
  readonly times: readonly number[];
  readonly waitMs: number;
  /** Time until which the object is left as it is; 0 for none. */
  readonly until: number;
}

export function createRepairBackoff(): RepairBackoff {
  /** In the order of the latest repair, oldest first. */
  const histories = new Map<string, RepairHistory>();
  const forgetOld = (now: number) => {
    for (const [key, { times, until }] of histories) {
      const isOver = now - (times.at(-1) ?? 0) > contestWindowMs && now > until + calmMs;
      if (!isOver && histories.size <= capacity) return;
      histories.delete(key);
    }
  };
  return {
    waitMs: (key, now) => Math.max(0, (histories.get(key)?.until ?? 0) - now),
    repaired(key, now) {
      const before = histories.get(key);
      const isContested = before !== undefined && before.waitMs > 0 && now <= before.until + calmMs;
      const recent = (before?.times ?? []).filter((time) => now - time < contestWindowMs);
      const times = [...recent, now].slice(-contestRepairs);
      const firstMs = times.length >= contestRepairs ? firstWaitMs : 0;
      const waitMs = isContested ? Math.min(longestWaitMs, before.waitMs * 2) : firstMs;
      histories.delete(key);
      histories.set(key, { times, waitMs, until: waitMs > 0 ? now + waitMs : 0 });
      forgetOld(now);
      return waitMs > 0 ? waitMs : undefined;
    },
  };
}
