import { randomBytes } from 'node:crypto';
import { base64Decode, base64Encode } from '@bufbuild/protobuf/wire';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { setFromBase64, toBase64 } from './base64.ts';

const base64 = suite('base64');

base64('is encoded as protobuf encodes it', () => {
  for (let length = 0; length < 100; length += 1) {
    // A view into a larger buffer.
    const bytes = randomBytes(length + 7).subarray(3, 3 + length);
    assert.is(toBase64(bytes), base64Encode(bytes));
    assert.is(toBase64(bytes, { omitPadding: true }), base64Encode(bytes, 'std_raw'));
    assert.is(toBase64(bytes, { alphabet: 'base64url', omitPadding: true }), base64Encode(bytes, 'url'));
  }
});

base64('is decoded as protobuf decodes it, or refused', () => {
  for (let length = 0; length < 100; length += 1) {
    const bytes = randomBytes(length);
    const text = base64Encode(bytes);
    const decoded = new Uint8Array(length);
    assert.equal(setFromBase64(decoded, text), { read: text.length, written: length });
    assert.equal(Buffer.from(decoded), bytes);
    assert.equal(Buffer.from(base64Decode(text)), bytes);
  }
  for (const wrong of ['a', 'ab', 'abc', 'ab-_', 'a===', 'ab==cd==', 'ab c', 'ab\ncd==', 'äbcd'])
    assert.throws(
      () => setFromBase64(new Uint8Array(10), wrong),
      (error: Error) => error instanceof SyntaxError,
      wrong,
    );
});

base64.run();
