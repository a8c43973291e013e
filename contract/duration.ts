import { create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';

const nanosPerMs = 1e6;
const nanosPerSecond = 1e9;

/**
 * Returns a span of milliseconds, fractions included, as the contract's duration: rounded to whole nanoseconds, which is all that it
 * can carry. A measured 1.1 ms is 1100000.0000000001 ns in floating point; protobuf refuses to encode that.
 */
export function toDuration(ms: number): Duration {
  if (!Number.isFinite(ms)) throw new RangeError(`${ms} ms is no span of time`);
  const seconds = Math.trunc(ms / 1_000);
  const nanos = Math.round((ms - seconds * 1_000) * nanosPerMs);
  const carried = Math.trunc(nanos / nanosPerSecond);
  return create(DurationSchema, { seconds: BigInt(seconds + carried), nanos: nanos - carried * nanosPerSecond });
}
