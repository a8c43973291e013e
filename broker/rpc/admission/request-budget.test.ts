import * as http2 from 'node:http2';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { frame, rawCall } from '../../../test/tools/raw-grpc.ts';

const test = await startTestBroker({ config: { memoryBytes: 128 << 20 } });
const { admin } = test.client();
const whoAmI = '/brokkr.v1.BrokerService/WhoAmI';
const check = '/grpc.health.v1.Health/Check';
const mebibyte = 1 << 20;

const budget = suite('the memory of requests');
const sessions: http2.ClientHttp2Session[] = [];
budget.after.each(() => {
  for (const session of sessions.splice(0)) session.destroy();
});
budget.after(() => test.close());

function connect(): http2.ClientHttp2Session {
  // Node's client counts what it sends, too.
  const session = http2.connect(test.url, { maxSessionMemory: 200 });
  session.on('error', () => {});
  sessions.push(session);
  return session;
}

/** Announces a message of `bytes` and sends all of it but the last byte. */
function sendMost(session: http2.ClientHttp2Session, path: string, bytes: number, headers = {}) {
  const call = rawCall(session, path, headers);
  call.stream.write(frame(Buffer.alloc(bytes)).subarray(0, -1));
  return call;
}

const bearer = async (name: string) => {
  const { pak } = await admin.createGenerator({ name });
  return { authorization: `Bearer ${pak}` };
};

budget('bounds what one key sends and does not finish, and leaves others their share', async () => {
  const [hoarder, other] = [await bearer('hoarder'), await bearer('other')];
  const session = connect();
  const calls = Array.from({ length: 40 }, () => sendMost(session, whoAmI, mebibyte, hoarder));
  const refused = new Set<number>();
  for (const [index, { answer }] of calls.entries())
    void answer.then(({ status }) => status === Code.ResourceExhausted && refused.add(index));
  // A quarter of 64 MiB is one caller's.
  await eventually(() => refused.size === 24);
  const { stream, answer } = rawCall(connect(), whoAmI, other);
  stream.end(frame(new Uint8Array()));
  assert.is((await answer).status, 0);
  // Calls that end make room.
  for (const { stream: held } of calls) held.close(http2.constants.NGHTTP2_CANCEL);
  await eventually(async () => {
    const again = sendMost(connect(), whoAmI, mebibyte, hoarder);
    again.stream.end(Buffer.alloc(1));
    // Zeros are no message.
    return (await again.answer).status === Code.InvalidArgument;
  });
});

budget('gives callers without a key little', async () => {
  const large = sendMost(connect(), check, 5_000);
  assert.is((await large.answer).status, Code.ResourceExhausted);
  let refused = 0;
  for (let connection = 0; connection < 4; connection += 1) {
    const session = connect();
    for (let stream = 0; stream < 100; stream += 1)
      void sendMost(session, check, 4_096).answer.then(({ status }) => {
        if (status === Code.ResourceExhausted) refused += 1;
      });
  }
  await eventually(() => refused === 400 - 256);
  const { stream, answer } = rawCall(connect(), check);
  stream.end(frame(new Uint8Array()));
  assert.is((await answer).status, 0);
});

budget('covers the other protocols', async () => {
  const headers = await bearer('web');
  const start = () => {
    const session = connect();
    const stream = session.request({
      ':method': 'POST',
      ':path': whoAmI,
      'content-type': 'application/proto',
      'content-length': String(mebibyte),
      ...headers,
    });
    stream.on('error', () => {});
    stream.write(Buffer.alloc(10));
    return new Promise<number>((resolve) =>
      stream.once('response', ({ ':status': status }) => resolve(Number(status))),
    );
  };
  const statuses: number[] = [];
  for (let count = 0; count < 20; count += 1) void start().then((status) => statuses.push(status));
  await eventually(() => statuses.length === 4);
  assert.equal(statuses, [429, 429, 429, 429]);
});

budget.run();
