import * as http2 from 'node:http2';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../../test/broker.ts';

const leavers = suite('callers that leave');
const test = await startTestBroker();
leavers.after(() => test.close());

/** A frame that asks the reflection service for the file with the most in it. */
function question(): Buffer {
  const file = Buffer.from('brokkr/v1/broker.proto');
  const message = Buffer.concat([Buffer.from([0x1a, file.length]), file]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

leavers('in the middle of an answer are told to the log, at debug, and to nobody else', async () => {
  const printed: unknown[][] = [];
  const print = console.error;
  console.error = (...words: unknown[]) => void printed.push(words);
  try {
    const questions = Buffer.concat(Array.from({ length: 200 }, question));
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
      // Nothing is read of the answers: what is left of them waits to be written.
      const answered = streams.map((stream) => {
        stream.on('error', () => {});
        stream.write(questions);
        return new Promise((resolve) => stream.once('readable', resolve));
      });
      await Promise.all(answered);
      for (const stream of streams) stream.destroy();
      session.destroy();
      return test.logged.find((line) => line.includes('a caller left while it was answered'));
    }, 60_000);
  } finally {
    console.error = print;
  }
  assert.equal(printed, []);
  const line = JSON.parse(test.logged.find((one) => one.includes('a caller left')) ?? '{}') as Record<string, unknown>;
  assert.is(line.level, 20);
  assert.match(String(line.path), 'ServerReflection');
});

leavers.run();
