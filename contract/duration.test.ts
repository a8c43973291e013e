import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toDuration } from './duration.ts';

const durations = suite('durations on the wire');

durations('carry every span of milliseconds to within a nanosecond', () => {
  const span = fc.double({ min: -1e12, max: 1e12, noNaN: true });
  fc.assert(
    fc.property(fc.oneof(span, fc.double({ min: 0, max: 100, noNaN: true })), (ms) => {
      const sent = fromBinary(DurationSchema, toBinary(DurationSchema, toDuration(ms)));
      const sentMs = Number(sent.seconds) * 1_000 + sent.nanos / 1e6;
      assert.ok(Math.abs(sentMs - ms) <= Math.max(1e-6, Math.abs(ms) * Number.EPSILON * 2), `${ms} ms`);
      assert.ok(Math.abs(sent.nanos) < 1e9 && sent.nanos * ms >= 0, `${ms} ms has ${sent.nanos} ns`);
    }),
    { numRuns: 10_000 },
  );
});

durations('are refused for what is no number', () => {
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => toDuration(ms), 'no span of time');
});

durations.run();
