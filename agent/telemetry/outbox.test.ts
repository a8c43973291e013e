import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogSource, TelemetryItem } from './item.ts';
import { createOutbox, type TelemetryBatch } from './outbox.ts';

const stackId = 'stack';
const source: LogSource = { namespace: 'shop', pod: 'web-1', container: 'main' };
const line = (text: string, of = source): TelemetryItem => ({
  type: 'line',
  stackId,
  source: of,
  at: undefined,
  text,
  isTruncated: false,
});
const textsOf = (batch: TelemetryBatch | undefined) =>
  batch?.items.map((item) => {
    if (item.type === 'gap') return `gap of ${item.count}: ${item.reason}`;
    return item.type === 'line' ? item.text : item.event.message;
  });

const outboxes = suite('an outbox');

outboxes('gives out what came, in order, and again after a break, until it is acknowledged', () => {
  const outbox = createOutbox();
  outbox.add(line('a'));
  outbox.add(line('b'));
  const first = outbox.take();
  assert.equal(textsOf(first), ['a', 'b']);
  assert.is(outbox.take(), undefined);
  outbox.add(line('c'));
  const second = outbox.take();
  outbox.rewind();
  assert.equal([outbox.take(), outbox.take(), outbox.take()], [first, second, undefined]);
  outbox.acknowledge(first!.sequence);
  outbox.rewind();
  assert.equal(outbox.take(), second);
  outbox.acknowledge(second!.sequence);
  assert.is(outbox.pending, 0);
});

outboxes('holds no more than it may, and says what it left out, where it was', () => {
  const outbox = createOutbox({ items: 3, bytes: 1 << 20 });
  const other = { ...source, container: 'other' };
  for (const text of ['a', 'b', 'c', 'd']) outbox.add(line(text));
  outbox.add(line('x', other));
  outbox.addGap(stackId, source, 'rate_limit', 5);
  assert.equal(textsOf(outbox.take()), ['gap of 3: buffer_full', 'd', 'x', 'gap of 5: rate_limit']);
  assert.is(outbox.dropped, 3);
});

outboxes('adds up what is missing at one place of a log', () => {
  const outbox = createOutbox();
  outbox.add(line('a'));
  for (let times = 0; times < 3; times += 1) outbox.addGap(stackId, source, 'rate_limit', 1);
  outbox.add(line('x', { ...source, pod: 'web-2' }));
  outbox.addGap(stackId, source, 'rate_limit', 1);
  outbox.add(line('b'));
  outbox.addGap(stackId, source, 'rate_limit', 1);
  assert.equal(textsOf(outbox.take()), ['a', 'gap of 4: rate_limit', 'x', 'b', 'gap of 1: rate_limit']);
  outbox.addGap(stackId, source, 'rate_limit', 1);
  assert.equal(textsOf(outbox.take()), ['gap of 1: rate_limit'], 'what was taken is not changed any more');
});

outboxes('sends no more than a few batches that nobody has acknowledged', async () => {
  const outbox = createOutbox();
  for (let at = 0; at < 4_900; at += 1) outbox.add(line(String(at)));
  const batches: TelemetryBatch[] = [];
  for (let next = outbox.take(); next; next = outbox.take()) batches.push(next);
  assert.equal([batches.length, batches[0]?.items.length], [8, 500]);
  let isAvailable = false;
  const available = outbox.available().then(() => {
    isAvailable = true;
  });
  await Promise.resolve();
  assert.not.ok(isAvailable);
  outbox.acknowledge(batches[0]!.sequence);
  await available;
  assert.equal(textsOf(outbox.take())?.length, 500);
});

outboxes('goes on without a batch that the broker does not take', () => {
  const outbox = createOutbox();
  outbox.add(line('bad'));
  outbox.take();
  outbox.add(line('good'));
  outbox.dropFirst();
  assert.equal(textsOf(outbox.take()), ['gap of 1: buffer_full', 'good']);
});

outboxes.run();
