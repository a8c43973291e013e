/** Which objects are put right over and over, because somebody else changes them back. */
export interface RepairBackoff {
  /** How long an object is to be left as it is; 0 when it may be put right now. */
  waitMs(key: string, now: number): number;
  /** Notes that it was put right. Answers, for a fight, how long the next repair waits. */
  repaired(key: string, now: number): number | undefined;
}

/** So many repairs within so long are a fight. */
const fightRepairs = 5;
const withinMs = 60_000;
const firstWaitMs = 10_000;
const longestWaitMs = 600_000;
/** Left alone for so long after a wait, it is over. */
const overMs = 60_000;
/** Many objects that are put right once are no fight; this many are remembered. */
const capacity = 10_000;

interface Rounds {
  /** When it was put right, the latest ones. */
  times: number[];
  waitMs: number;
  until: number;
}

export function createRepairBackoff(): RepairBackoff {
  const rounds = new Map<string, Rounds>();
  /** Maps keep their order: the first ones are those that were put right longest ago. */
  const tidy = (now: number) => {
    for (const [key, { times, until }] of rounds) {
      const isOver = now - (times.at(-1) ?? 0) > withinMs && now > until + overMs;
      if (!isOver && rounds.size <= capacity) return;
      rounds.delete(key);
    }
  };
  return {
    waitMs: (key, now) => Math.max(0, (rounds.get(key)?.until ?? 0) - now),
    repaired(key, now) {
      const before = rounds.get(key);
      const isOn = before !== undefined && before.waitMs > 0 && now <= before.until + overMs;
      const times = [...(before?.times ?? []).filter((at) => now - at < withinMs), now].slice(-fightRepairs);
      const waitMs = isOn ? Math.min(longestWaitMs, before.waitMs * 2) : times.length >= fightRepairs ? firstWaitMs : 0;
      rounds.delete(key);
      rounds.set(key, { times, waitMs, until: waitMs > 0 ? now + waitMs : 0 });
      tidy(now);
      return waitMs > 0 ? waitMs : undefined;
    },
  };
}
