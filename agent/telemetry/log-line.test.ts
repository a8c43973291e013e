import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createLogPosition, parseLine } from './log-line.ts';

const lines = suite('a line of a log');

lines('has its time before it, to the nanosecond, in any zone', () => {
  const at = BigInt(Date.parse('2027-01-31T12:00:00Z')) * 1_000_000n;
  assert.equal(parseLine('2027-01-31T12:00:00.000000001Z hello  there'), { at: at + 1n, text: 'hello  there' });
  assert.equal(parseLine('2027-01-31T13:00:00.5+01:00 hello'), { at: at + 500_000_000n, text: 'hello' });
  assert.equal(parseLine('2027-01-31T12:00:00Z '), { at, text: '' });
  assert.equal(parseLine('no time'), { at: undefined, text: 'no time' });
});

lines('is told once, when a stream begins again with the second of the last one', () => {
  const position = createLogPosition();
  const reported = (...times: string[]) =>
    times.filter((time) => position.isNew(parseLine(`2027-01-31T12:00:${time}Z x`)));
  position.restart();
  assert.equal(reported('01.1', '01.10', '01.2', '02.5', '02.5'), ['01.1', '01.10', '01.2', '02.5', '02.5']);
  assert.is(position.from?.toISOString(), '2027-01-31T12:00:02.500Z');
  position.restart();
  assert.equal(reported('02.1', '02.5', '02.5', '02.5', '02.6'), ['02.5', '02.6']);
  position.restart();
  assert.equal(reported('02.1', '02.5', '02.5', '02.5', '02.6', '03'), ['03']);
});

lines.run();
