import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const crowds = suite('what one key may have open');
const test = await startTestBroker();
crowds.after(() => test.close());

const configMap = (value: number) =>
  Buffer.from(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"value":"${value}"}}`);

crowds('submissions beyond the first few wait for their turn, and all are done', async () => {
  const { broker } = test.client();
  await broker.createStack({ name: 'busy' });
  const submit = (value: number) => broker.submitDeployment({ stack: 'busy', manifest: configMap(value) });
  const answers = await Promise.all(Array.from({ length: 40 }, (_, value) => submit(value)));
  const revisions = answers.map((answer) => answer.deployment?.revision ?? 0).sort((a, b) => a - b);
  assert.equal(
    revisions,
    Array.from({ length: 40 }, (_, index) => index + 1),
  );
});

crowds('a hundred streams may be open, the next is refused, and one that ended makes room', async () => {
  const { broker } = test.client();
  await broker.createStack({ name: 'watched' });
  const controllers = Array.from({ length: 100 }, () => new AbortController());
  // A connection carries a hundred streams: the hundred-and-first call needs another one.
  const open = async ({ signal }: AbortController, client = broker) => {
    const [first] = await Array.fromAsync(take(client.watchStack({ stack: 'watched' }, { signal })));
    assert.ok(first?.stack);
  };
  const held = controllers.map((controller) =>
    hold(broker.watchStack({ stack: 'watched' }, { signal: controller.signal })),
  );
  await Promise.all(held.map(({ first }) => first));
  const other = test.client().broker;
  await refused(open(new AbortController(), other), Code.ResourceExhausted, /100 streams/);
  controllers[0]?.abort();
  await eventually(() => open(new AbortController(), other).then(() => true));
  for (const controller of controllers) controller.abort();
  await Promise.all(held.map(({ ended }) => ended));
});

crowds('streams whose client left while its key was read take no place', async () => {
  const { admin, broker } = test.client();
  await broker.createStack({ name: 'left' });
  // A key that this broker has not seen has to be read, which takes longer than the client stays.
  const { pak } = await admin.createAdminPak({ name: 'hasty' });
  const hasty = test.client(pak).broker;
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      const leaving = new AbortController();
      const { ended } = hold(hasty.watchStack({ stack: 'left' }, { signal: leaving.signal }));
      setTimeout(() => leaving.abort(), 1);
      await ended;
    }),
  );
  const staying = new AbortController();
  const { first, ended } = hold(hasty.watchStack({ stack: 'left' }, { signal: staying.signal }));
  await Promise.race([first, ended.then(() => assert.unreachable('the stream was refused'))]);
  staying.abort();
  await ended;
});

crowds.run();

async function* take<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  for await (const message of messages) {
    yield message;
    return;
  }
}

/** Reads a stream until it ends, however it does. */
function hold<T>(messages: AsyncIterable<T>): { first: Promise<void>; ended: Promise<void> } {
  const first = Promise.withResolvers<void>();
  const read = async () => {
    for await (const _ of messages) first.resolve();
  };
  return { first: first.promise, ended: read().catch(() => {}) };
}
