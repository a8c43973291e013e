import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { frame } from '../../../test/tools/raw-grpc.ts';
import { type Frame, FrameReader, toFrame } from './frames.ts';

const frames = suite('frames of gRPC');

const text = (messages: readonly Frame[]) => messages.map(({ bytes }) => Buffer.from(bytes).toString());

function codeOf(act: () => unknown): Code | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return ConnectError.from(error).code;
  }
}

frames('are a flag, the length and the message', () => {
  assert.equal(toFrame(Buffer.from('abc')), Buffer.from([0, 0, 0, 0, 3, 97, 98, 99]));
  assert.equal(toFrame(new Uint8Array()), Buffer.alloc(5));
});

frames('give the same messages however the bytes are cut', () => {
  const bytes = Buffer.concat(['one', '', 'three', '', ''].map((message) => frame(Buffer.from(message))));
  for (let size = 1; size <= bytes.length; size += 1) {
    const reader = new FrameReader(100);
    const messages: Frame[] = [];
    for (let at = 0; at < bytes.length; at += size) messages.push(...reader.read(bytes.subarray(at, at + size)));
    reader.end();
    assert.equal(text(messages), ['one', '', 'three', '', ''], `in pieces of ${size}`);
  }
});

frames('give copies, which later bytes do not change', () => {
  const bytes = frame(Buffer.from('abc'));
  const [message] = new FrameReader(100).read(bytes);
  bytes.fill(0);
  assert.equal(text([message!]), ['abc']);
});

frames('are refused by their head when they are too large', () => {
  const reader = new FrameReader(10);
  assert.equal(text(reader.read(frame(Buffer.alloc(10, 'x')))), ['x'.repeat(10)]);
  assert.is(
    codeOf(() => reader.read(Buffer.from([0, 0, 0, 0, 11]))),
    Code.ResourceExhausted,
  );
});

frames('say whether they are compressed', () => {
  const reader = new FrameReader(10);
  const read = reader.read(Buffer.concat([frame(Buffer.from('x'), 1), frame(Buffer.from('y'))]));
  assert.equal(
    read.map(({ isCompressed }) => isCompressed),
    [true, false],
  );
});

frames('are refused when the request ends within one', () => {
  for (const bytes of [Buffer.from([0, 0]), frame(Buffer.from('abc')).subarray(0, 7)]) {
    const reader = new FrameReader(10);
    assert.equal(reader.read(bytes), []);
    assert.is(
      codeOf(() => reader.end()),
      Code.InvalidArgument,
    );
  }
});

frames.run();
