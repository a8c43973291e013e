import * as http2 from 'node:http2';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../../test/broker.ts';

const clients = suite('clients that disconnect');
const test = await startTestBroker();
clients.after(() => test.close());

/** Frames a request to the reflection service for the largest file. */
function reflectionRequest(): Buffer {
  const file = Buffer.from('brokkr/v1/broker.proto');
  const message = Buffer.concat([Buffer.from([0x1a, file.length]), file]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

clients('during a response are logged at debug level, and not printed to stderr', async () => {
  const printed: unknown[][] = [];
  const print = console.error;
  console.error = (...words: unknown[]) => void printed.push(words);
  try {
    const requests = Buffer.concat(Array.from({ length: 200 }, reflectionRequest));
    await eventually(async () => {
      const session = http2.connect(test.url);
      session.on('error', () => {});
      const streams = Array.from({ length: 20 }, () =>
        session.request({
          ':method': 'POST',
          ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
          'content-type': 'application/grpc',
          te: 'trailers',
        }),
      );
      // The responses are not read, so most of their bytes wait to be written.
      const answered = streams.map((stream) => {
        stream.on('error', () => {});
        stream.write(requests);
        return new Promise((resolve) => stream.once('readable', resolve));
      });
      await Promise.all(answered);
      for (const stream of streams) stream.destroy();
      session.destroy();
      return test.logged.find((line) => line.includes('the client disconnected during the response'));
    }, 60_000);
  } finally {
    console.error = print;
  }
  assert.equal(printed, []);
  const line = JSON.parse(test.logged.find((one) => one.includes('the client disconnected')) ?? '{}') as Record<
    string,
    unknown
  >;
  assert.is(line.level, 20);
  assert.match(String(line.path), 'ServerReflection');
});

clients.run();
