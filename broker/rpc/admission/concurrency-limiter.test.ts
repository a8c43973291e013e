import * as http2 from 'node:http2';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GetDeploymentRequestSchema } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { eventually, refused, startTestBroker } from '../../../test/broker.ts';
import { framed } from '../../../test/tools/raw-grpc.ts';
import { createConcurrencyLimiter } from './concurrency-limiter.ts';

const limits = suite('the concurrency limits of a caller');
const test = await startTestBroker();
limits.after(() => test.close());

const configMap = (value: number) =>
  Buffer.from(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"value":"${value}"}}`);

limits('submissions beyond the limit wait for their turn, and all succeed', async () => {
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

limits('a hundred streams may be open, the next is refused, and a stream that ends makes room', async () => {
  const { broker } = test.client();
  await broker.createStack({ name: 'watched' });
  const controllers = Array.from({ length: 100 }, () => new AbortController());
  // A connection carries a hundred streams, so the next call needs another connection.
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

for (const protocol of ['native gRPC', 'Connect'] as const) {
  limits(`${protocol}: a client that does not read manifests holds its own places only, until it leaves`, async () => {
    const { admin } = test.client();
    const { pak } = await admin.createGenerator({ name: protocol === 'Connect' ? 'web-reader' : 'reader' });
    const { broker } = test.client(pak);
    await broker.createStack({ name: 'large' });
    const manifest = Buffer.concat(Array.from({ length: 8 }, (_, index) => largeConfigMap(index)));
    const { deployment } = await broker.submitDeployment({ stack: 'large', manifest });
    const request = { stack: 'large', revision: deployment?.revision ?? 0 };
    const sessions = Array.from({ length: 4 }, () => http2.connect(test.url));
    try {
      const streams = sessions.map((session) => askWithoutReading(session, protocol, pak, request));
      await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once('response', resolve))));
      let answered = false;
      const fifth = broker.getDeployment(request).then(() => {
        answered = true;
      });
      const { admin: other, broker: asAdmin } = test.client();
      await asAdmin.getDeployment({ id: deployment?.id ?? '' });
      await other.listPaks({});
      assert.not(answered);
      for (const session of sessions) session.destroy();
      await fifth;
    } finally {
      for (const session of sessions) session.destroy();
    }
  });
}

const largeConfigMap = (index: number) =>
  Buffer.from(
    `---\n{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c${index}"},"data":{"value":"${'x'.repeat(500_000)}"}}\n`,
  );

/** Asks for a manifest over HTTP/2 and never reads the answer. */
function askWithoutReading(
  session: http2.ClientHttp2Session,
  protocol: 'native gRPC' | 'Connect',
  pak: string,
  request: MessageInitShape<typeof GetDeploymentRequestSchema>,
) {
  const isNative = protocol === 'native gRPC';
  const stream = session.request({
    ':method': 'POST',
    ':path': '/brokkr.v1.BrokerService/GetDeployment',
    'content-type': isNative ? 'application/grpc' : 'application/proto',
    authorization: `Bearer ${pak}`,
  });
  const message = create(GetDeploymentRequestSchema, request);
  stream.end(isNative ? framed(GetDeploymentRequestSchema, message) : toBinary(GetDeploymentRequestSchema, message));
  stream.on('error', () => {});
  return stream;
}

limits('streams whose client disconnected while its key was read take no place', async () => {
  const { admin, broker } = test.client();
  await broker.createStack({ name: 'left' });
  // The broker has to read a key that it has not seen, which takes longer than the client stays.
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

limits('streams without a key are limited per address', async () => {
  const watch = { path: '/grpc.health.v1.Health/Watch', frame: Buffer.alloc(5) };
  const session = http2.connect(test.url);
  const other = http2.connect(test.url);
  try {
    const held = Array.from({ length: 100 }, () => callOpen(session, watch));
    await Promise.all(held.map(({ answered }) => answered));
    assert.is(await callOpen(other, watch).status, '8');
    // Streams with a key are counted separately.
    const staying = new AbortController();
    const { first, ended } = hold(test.client().broker.watchStack({ stack: 'watched' }, { signal: staying.signal }));
    await first;
    staying.abort();
    await ended;
    held[0]?.cut();
    await eventually(async () => {
      const again = callOpen(other, watch);
      return Promise.race([again.answered.then(() => true), again.status.then(() => false)]);
    });
  } finally {
    session.destroy();
    other.destroy();
  }
});

limits('streams without a key are limited in total, from all addresses together', () => {
  const limiter = createConcurrencyLimiter(() => test.config.limits);
  const method = Health.method.watch;
  const open = Array.from({ length: 1_000 }, () => new AbortController());
  for (const [at, { signal }] of open.entries()) limiter.admitWithoutKey(`10.0.${at % 200}.1`, { method, signal });
  const more = () => limiter.admitWithoutKey('10.1.0.1', { method, signal: new AbortController().signal });
  assert.throws(more, /1000 streams without a key are open/);
  limiter.admitWithoutKey('10.1.0.1', { method: Health.method.check, signal: new AbortController().signal });
  open[0]?.abort();
  more();
  assert.throws(more);
});

limits.run();

/** Starts a call without a key on a session of its own, so that its streams take no place of another client's connection. */
function callOpen(session: http2.ClientHttp2Session, { path, frame }: { path: string; frame: Buffer }) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const answered = Promise.withResolvers<void>();
  const status = Promise.withResolvers<string>();
  const readStatus = (headers: http2.IncomingHttpHeaders) => {
    if (headers['grpc-status'] !== undefined) status.resolve(String(headers['grpc-status']));
  };
  stream.on('response', readStatus);
  stream.on('trailers', readStatus);
  stream.on('data', () => answered.resolve());
  stream.on('error', () => {});
  stream.end(frame);
  return {
    answered: answered.promise,
    status: status.promise,
    cut: () => stream.close(http2.constants.NGHTTP2_CANCEL),
  };
}

async function* take<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  for await (const message of messages) {
    yield message;
    return;
  }
}

/** Reads a stream until it ends, with or without an error. */
function hold<T>(messages: AsyncIterable<T>): { first: Promise<void>; ended: Promise<void> } {
  const first = Promise.withResolvers<void>();
  const read = async () => {
    for await (const _ of messages) first.resolve();
  };
  return { first: first.promise, ended: read().catch(() => {}) };
}
