/** A line of a log, separated from the timestamp that the node puts before it. */
export interface LogLine {
  /** Nanoseconds since 1970; undefined for a line without a timestamp. */
  readonly at: bigint | undefined;
  readonly text: string;
}

const timestampPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?/;

/** Parses a line of a log that was requested with timestamps. */
export function parseLine(line: string): LogLine {
  const match = timestampPattern.exec(line);
  if (!match) return { at: undefined, text: line };
  const [all, seconds, fraction = '', zone] = match;
  const ms = Date.parse(`${seconds}${zone}`);
  const at = Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
  return { at, text: line.slice(all.length) };
}

/** Remembers how far a log was read, because a new stream can only start at a full second and repeats lines of that second. */
export interface LogPosition {
  /** Records a line, and returns whether it is new. Lines without a timestamp always are. */
  isNew(line: LogLine): boolean;
  /** Starts over with a stream that begins at the second of `from`. */
  restart(): void;
  /** Forgets the position: lines between the last one and the next are skipped. */
  forget(): void;
  /** Time of the last line; undefined before the first. */
  readonly from: Date | undefined;
}

/** Creates the position before the first line. */
export function createLogPosition(): LogPosition {
  let last: bigint | undefined;
  /** Number of lines with the time `last` that were read, over all streams and in this one. */
  let readCount = 0;
  let streamCount = 0;
  return {
    isNew({ at }) {
      if (at === undefined || last === undefined || at > last) {
        if (at === undefined) return true;
        last = at;
        readCount = 1;
        streamCount = 1;
        return true;
      }
      if (at < last) return false;
      streamCount += 1;
      if (streamCount <= readCount) return false;
      readCount = streamCount;
      return true;
    },
    restart() {
      streamCount = 0;
    },
    forget() {
      last = undefined;
    },
    get from() {
      return last === undefined ? undefined : new Date(Number(last / 1_000_000n));
    },
  };
}
