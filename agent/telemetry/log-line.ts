/** A line of a log, without the time that the node has put before it. */
export interface LogLine {
  /** Nanoseconds since 1970; undefined for a line without a time. */
  readonly at: bigint | undefined;
  readonly text: string;
}

const timed = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?/;

export function parseLine(line: string): LogLine {
  const match = timed.exec(line);
  if (!match) return { at: undefined, text: line };
  const [all, seconds, fraction = '', zone] = match;
  const ms = Date.parse(`${seconds}${zone}`);
  const at = Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
  return { at, text: line.slice(all.length) };
}

/** Remembers up to where a log was read, so that a stream that begins with the same second again repeats nothing. */
export interface LogPlace {
  /** Whether the line is new; lines without a time are. */
  isNew(line: LogLine): boolean;
  /** The stream begins anew, at the second of `from`. */
  restart(): void;
  /** What is between the last line and those that come is skipped. */
  forget(): void;
  /** Of the last line; undefined before the first. */
  readonly from: Date | undefined;
}

export function createPlace(): LogPlace {
  let last: bigint | undefined;
  /** How many lines were of just that time. */
  let count = 0;
  let repeated = 0;
  return {
    isNew({ at }) {
      if (at === undefined || last === undefined || at > last) {
        if (at === undefined) return true;
        last = at;
        count = 1;
        repeated = 1;
        return true;
      }
      if (at < last) return false;
      repeated += 1;
      if (repeated <= count) return false;
      count = repeated;
      return true;
    },
    restart() {
      repeated = 0;
    },
    forget() {
      last = undefined;
    },
    get from() {
      return last === undefined ? undefined : new Date(Number(last / 1_000_000n));
    },
  };
}
