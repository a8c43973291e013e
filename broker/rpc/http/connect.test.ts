import { Code, type ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BrokerService } from '../../../gen/brokkr/v1/broker_pb.ts';
import { startTestBroker } from '../../../test/broker.ts';

const test = await startTestBroker();
const { broker } = test.client();
await broker.createStack({ name: 'watched' });
const headers = { authorization: `Bearer ${test.adminPak}` };

const connect = suite('Connect and gRPC-Web');
connect.after(() => test.close());

for (const httpVersion of ['1.1', '2'] as const) {
  for (const [protocol, transport] of [
    ['Connect', createConnectTransport({ baseUrl: test.url, httpVersion })],
    ['gRPC-Web', createGrpcWebTransport({ baseUrl: test.url, httpVersion })],
  ] as const) {
    const client = createClient(BrokerService, transport);
    connect(`${protocol} over HTTP/${httpVersion} ends a stream at the deadline, after what it has sent`, async () => {
      const names: (string | undefined)[] = [];
      const watch = async () => {
        const timeout = protocol === 'Connect' ? { 'connect-timeout-ms': '2000' } : { 'grpc-timeout': '2S' };
        // As a header, so that only the broker knows of it.
        for await (const { stack } of client.watchStack({ stack: 'watched' }, { headers: { ...headers, ...timeout } }))
          names.push(stack?.name);
      };
      const error = await watch().catch((reason: ConnectError) => reason);
      assert.is(error?.code, Code.DeadlineExceeded);
      assert.equal(names, ['watched']);
    });

    connect(`${protocol} over HTTP/${httpVersion} accepts a deadline beyond the longest timer`, async () => {
      const timeout = protocol === 'Connect' ? { 'connect-timeout-ms': '9999999999' } : { 'grpc-timeout': '99999999H' };
      const { name } = await client.whoAmI({}, { headers: { ...headers, ...timeout } });
      assert.is(name, 'admin');
      const wrong = protocol === 'Connect' ? { 'connect-timeout-ms': 'soon' } : { 'grpc-timeout': 'soon' };
      const error = await client
        .whoAmI({}, { headers: { ...headers, ...wrong } })
        .catch((reason: ConnectError) => reason);
      assert.is((error as ConnectError).code, Code.InvalidArgument);
    });
  }
}

connect('tells nginx not to collect what a stream sends', async () => {
  const post = (method: string, type: string, body: Uint8Array | string) =>
    fetch(`${test.url}/brokkr.v1.BrokerService/${method}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': type, 'connect-protocol-version': '1' },
      body,
      signal: AbortSignal.timeout(60_000),
    });
  const unary = await post('WhoAmI', 'application/json', '{}');
  assert.is(unary.headers.get('x-accel-buffering'), null);
  await unary.arrayBuffer();
  const request = Buffer.from('{"stack":"watched"}');
  const head = Buffer.from([0, 0, 0, 0, request.length]);
  const stream = await post('WatchStack', 'application/connect+json', Buffer.concat([head, request]));
  assert.is(stream.headers.get('x-accel-buffering'), 'no');
  await stream.body?.cancel();
});

connect.run();
