import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogSource, TelemetryItem } from './item.ts';
import { createPlace, parseLine } from './log-line.ts';
import { createOutbox, type TelemetryBatch } from './outbox.ts';
import { createMeter } from './rate-limiter.ts';

const stackId = 'stack';
const source: LogSource = { namespace: 'shop', pod: 'web-1', container: 'main' };
const line = (text: string, of = source): TelemetryItem => ({
  what: 'line',
  stackId,
  source: of,
  at: undefined,
  text,
  isCut: false,
});
const said = (batch: TelemetryBatch | undefined) =>
  batch?.items.map((item) => {
    if (item.what === 'gap') return `gap of ${item.count}: ${item.reason}`;
    return item.what === 'line' ? item.text : item.event.message;
  });

const lines = suite('a line of a log');

lines('has its time before it, to the nanosecond, in any zone', () => {
  const at = BigInt(Date.parse('2027-01-31T12:00:00Z')) * 1_000_000n;
  assert.equal(parseLine('2027-01-31T12:00:00.000000001Z hello  there'), { at: at + 1n, text: 'hello  there' });
  assert.equal(parseLine('2027-01-31T13:00:00.5+01:00 hello'), { at: at + 500_000_000n, text: 'hello' });
  assert.equal(parseLine('2027-01-31T12:00:00Z '), { at, text: '' });
  assert.equal(parseLine('no time'), { at: undefined, text: 'no time' });
});

lines('is told once, when a stream begins again with the second of the last one', () => {
  const place = createPlace();
  const reported = (...times: string[]) =>
    times.filter((time) => place.isNew(parseLine(`2027-01-31T12:00:${time}Z x`)));
  place.restart();
  assert.equal(reported('01.1', '01.10', '01.2', '02.5', '02.5'), ['01.1', '01.10', '01.2', '02.5', '02.5']);
  assert.is(place.from?.toISOString(), '2027-01-31T12:00:02.500Z');
  place.restart();
  assert.equal(reported('02.1', '02.5', '02.5', '02.5', '02.6'), ['02.5', '02.6']);
  place.restart();
  assert.equal(reported('02.1', '02.5', '02.5', '02.5', '02.6', '03'), ['03']);
});

lines.run();

const meters = suite('a rate');

meters('lets so many pass each second, and leaves out the rest of it', () => {
  let now = 0;
  const meter = createMeter({ items: 3, bytes: 100 }, () => now);
  assert.equal([1, 1, 1, 1].map(meter.admit), [true, true, true, false]);
  now = 1_000;
  assert.equal([60, 60, 40].map(meter.admit), [true, false, true]);
  assert.is(meter.offered, 160);
});

meters.run();

const outboxes = suite('an outbox');

outboxes('gives out what came, in order, and again after a break, until it is acknowledged', () => {
  const outbox = createOutbox();
  outbox.add(line('a'));
  outbox.add(line('b'));
  const first = outbox.take();
  assert.equal(said(first), ['a', 'b']);
  assert.is(outbox.take(), undefined);
  outbox.add(line('c'));
  const second = outbox.take();
  outbox.rewind();
  assert.equal([outbox.take(), outbox.take(), outbox.take()], [first, second, undefined]);
  outbox.received(first!.sequence);
  outbox.rewind();
  assert.equal(outbox.take(), second);
  outbox.received(second!.sequence);
  assert.is(outbox.pending, 0);
});

outboxes('holds no more than it may, and says what it left out, where it was', () => {
  const outbox = createOutbox({ items: 3, bytes: 1 << 20 });
  const other = { ...source, container: 'other' };
  for (const text of ['a', 'b', 'c', 'd']) outbox.add(line(text));
  outbox.add(line('x', other));
  outbox.lost(stackId, source, 'rate_limit', 5);
  assert.equal(said(outbox.take()), ['gap of 3: buffer_full', 'd', 'x', 'gap of 5: rate_limit']);
  assert.is(outbox.dropped, 3);
});

outboxes('adds up what is missing at one place of a log', () => {
  const outbox = createOutbox();
  outbox.add(line('a'));
  for (let times = 0; times < 3; times += 1) outbox.lost(stackId, source, 'rate_limit', 1);
  outbox.add(line('x', { ...source, pod: 'web-2' }));
  outbox.lost(stackId, source, 'rate_limit', 1);
  outbox.add(line('b'));
  outbox.lost(stackId, source, 'rate_limit', 1);
  assert.equal(said(outbox.take()), ['a', 'gap of 4: rate_limit', 'x', 'b', 'gap of 1: rate_limit']);
  outbox.lost(stackId, source, 'rate_limit', 1);
  assert.equal(said(outbox.take()), ['gap of 1: rate_limit'], 'what was taken is not changed any more');
});

outboxes('sends no more than a few batches that nobody has acknowledged', async () => {
  const outbox = createOutbox();
  for (let at = 0; at < 4_900; at += 1) outbox.add(line(String(at)));
  const batches: TelemetryBatch[] = [];
  for (let next = outbox.take(); next; next = outbox.take()) batches.push(next);
  assert.equal([batches.length, batches[0]?.items.length], [8, 500]);
  let isNews = false;
  const news = outbox.news().then(() => {
    isNews = true;
  });
  await Promise.resolve();
  assert.not.ok(isNews);
  outbox.received(batches[0]!.sequence);
  await news;
  assert.equal(said(outbox.take())?.length, 500);
});

outboxes('goes on without a batch that the broker does not take', () => {
  const outbox = createOutbox();
  outbox.add(line('bad'));
  outbox.take();
  outbox.add(line('good'));
  outbox.refused();
  assert.equal(said(outbox.take()), ['gap of 1: buffer_full', 'good']);
});

outboxes.run();
