import { monitorEventLoopDelay } from 'node:perf_hooks';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Refusal } from '../refusal.ts';
import { createParser } from './parser.ts';

const text = (name: string) => Buffer.from(`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`);
/** The library needs minutes for it. */
const slow = Buffer.from('"'.repeat(4 << 20));

const parser = suite('the parser');

parser('answers in turn, and names document and line of what is wrong', async () => {
  const one = createParser(1);
  try {
    const names = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => (await one.parse(text(name))).objects[0]?.name),
    );
    assert.equal(names, ['a', 'b', 'c']);
    const error = await refusal(one.parse(Buffer.from('apiVersion: v1\n---\n- x\n')));
    assert.is(error.kind, 'invalid_argument');
    assert.is(error.reason, 'BAD_MANIFEST');
    assert.equal(error.violations.at(-1), {
      field: 'manifest.documents[2]',
      description:
        'document 2, line 3: the document is not a Kubernetes object: a map with apiVersion, kind and metadata',
    });
  } finally {
    await one.close();
  }
});

parser('tells the differences from another manifest', async () => {
  const one = createParser(1);
  try {
    const { data, changes } = await one.parse(text('a'));
    const [a, b] = ['a', 'b'].map((name) => ({ apiVersion: 'v1', kind: 'ConfigMap', namespace: '', name }));
    assert.equal(changes, [{ object: a, action: 'created', fields: [] }]);
    assert.equal((await one.parse(text('a'), { before: data })).changes, []);
    assert.equal((await one.parse(text('b'), { before: data })).changes, [
      { object: b, action: 'created', fields: [] },
      { object: a, action: 'deleted', fields: [] },
    ]);
    const newer = Buffer.from('apiVersion: v1beta1\nkind: ConfigMap\nmetadata:\n  name: a\n');
    const [versioned, ...rest] = (await one.parse(newer, { before: data })).changes;
    assert.equal([versioned?.action, versioned?.fields, rest], ['configured', ['.apiVersion'], []]);
    const configured = Buffer.concat([text('a'), Buffer.from('data:\n  k: v\n')]);
    assert.equal((await one.parse(configured, { before: data })).changes, [
      { object: a, action: 'configured', fields: ['.data'] },
    ]);
  } finally {
    await one.close();
  }
});

parser('refuses what takes too long, goes on with the next, and never holds up the event loop', async () => {
  const one = createParser(1, 1_500);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  try {
    const slowly = refusal(one.parse(slow));
    const next = one.parse(text('next'));
    assert.match((await slowly).message, 'could not be read within 1.5 s of CPU time');
    assert.is((await next).objects[0]?.name, 'next');
    // A parse on this thread would hold it up for the whole deadline.
    assert.ok(delay.max / 1e6 < 1_000, `held up for ${delay.max / 1e6} ms`);
  } finally {
    delay.disable();
    await one.close();
  }
});

parser('reads a small manifest while large ones of others hold every thread', async () => {
  const one = createParser(1);
  const large = refusal(one.parse(slow, { caller: 'large' }));
  try {
    assert.is((await one.parse(text('small'), { caller: 'small' })).objects[0]?.name, 'small');
  } finally {
    await one.close();
  }
  assert.is((await large).kind, 'unavailable');
});

parser('takes the job of a caller who has gone off its thread and out of the queue', async () => {
  const one = createParser(1);
  const gone = new AbortController();
  const jobs = [slow, slow].map((bytes) => one.parse(bytes, { signal: gone.signal }).catch((why: unknown) => why));
  const reason = new Error('the caller has gone');
  try {
    gone.abort(reason);
    assert.equal(await Promise.all(jobs), [reason, reason]);
    assert.is(one.waiting(), 0);
    assert.is((await one.parse(Buffer.concat([text('next'), Buffer.alloc(300 << 10, '\n')]))).objects.length, 1);
  } finally {
    await one.close();
  }
});

parser('refuses what takes too much memory, and goes on', async () => {
  const one = createParser(1);
  try {
    const heavy = Buffer.from(`a: [${'{},'.repeat((8 << 20) / 3 - 10)}]`);
    const error = await one.parse(heavy).catch((reason: unknown) => reason);
    assert.instance(error, Refusal);
    assert.is((await one.parse(text('next'))).objects[0]?.name, 'next');
  } finally {
    await one.close();
  }
});

parser('ends with what waits', async () => {
  const one = createParser(1);
  const waiting = [slow, text('a'), text('b')].map((bytes) => refusal(one.parse(bytes)));
  await one.close();
  for (const error of await Promise.all(waiting)) assert.is(error.kind, 'unavailable');
  assert.is((await refusal(one.parse(text('c')))).kind, 'unavailable');
});

parser.run();

async function refusal(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.catch((reason: unknown) => reason);
  assert.instance(error, Refusal);
  return error as Refusal;
}
