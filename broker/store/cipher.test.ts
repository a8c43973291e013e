import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createCipher } from './cipher.ts';

const [first, second] = [randomBytes(32), randomBytes(32)];
const name = Buffer.from('name');
const data = Buffer.from('apiVersion: v1\nkind: Secret\n');

const cipher = suite('the cipher');

cipher('opens what it sealed, and seals equal data differently each time', () => {
  const { seal, open } = createCipher([first]);
  const [one, two] = [seal(name, data), seal(name, data)];
  assert.equal(open(name, one), data);
  assert.equal(open(name, two), data);
  assert.not.equal(one.data, two.data);
  assert.not.ok(one.data.includes('Secret'));
  assert.equal(open(name, seal(name, Buffer.alloc(0))), Buffer.alloc(0));
});

cipher('seals with the first key and opens with every key', () => {
  const old = createCipher([first]).seal(name, data);
  const both = createCipher([second, first]);
  assert.equal(both.open(name, old), data);
  assert.is(both.seal(name, data).keyId, both.keyId);
  assert.is.not(both.keyId, old.keyId);
  assert.throws(() => createCipher([second]).open(name, old), /does not list/);
});

cipher('refuses data that was sealed under another name or was changed', () => {
  const { seal, open } = createCipher([first, second]);
  const sealed = seal(name, data);
  assert.throws(() => open(Buffer.from('other'), sealed));
  for (let at = 0; at < sealed.data.length; at += 1) {
    const changed = Buffer.from(sealed.data);
    changed[at] = (changed[at] as number) ^ 1;
    assert.throws(() => open(name, { ...sealed, data: changed }), undefined, `byte ${at}`);
  }
  for (const length of [0, 1, 12, 27, sealed.data.length - 1])
    assert.throws(() => open(name, { ...sealed, data: sealed.data.subarray(0, length) }), undefined, `${length} bytes`);
});

cipher('leaves bytes plain without a key, and opens plain bytes with one', () => {
  const plain = createCipher([]).seal(name, data);
  assert.is(plain.keyId, '');
  assert.equal(createCipher([first]).open(name, plain), data);
  assert.equal(createCipher([]).keyIds, []);
});

cipher('never prints a key', () => {
  try {
    createCipher([second]).open(name, createCipher([first]).seal(name, data));
    assert.unreachable();
  } catch (error) {
    for (const key of [first, second])
      for (const form of ['hex', 'base64'] as const) assert.not.ok(String(error).includes(key.toString(form)));
  }
});

cipher.run();
