import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Refusal } from '../refusal.ts';
import { createVerificationQueue, createVerifier, hashSecret } from './argon.ts';
import { makePak, parsePak, withoutKeys } from './pak.ts';

const keys = suite('keys as texts and hashes');

keys('verify against their own hash only', async () => {
  const verify = createVerifier();
  const { text } = makePak('ge');
  const hash = await hashSecret(text);
  assert.is(await verify(hash, text), true);
  assert.is(await verify(hash, makePak('ge').text), false);
  assert.is(await verify(undefined, text), false);
});

keys('cost the same work whether they are unknown or wrong', async () => {
  const verify = createVerifier();
  const { text } = makePak('ge');
  const hash = await hashSecret(makePak('ge').text);
  const cpu = async (hashed: string | undefined) => {
    const before = process.cpuUsage();
    for (let round = 0; round < 200; round += 1) await verify(hashed, text);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  await cpu(hash);
  const [wrong, unknown] = [await cpu(hash), await cpu(undefined)];
  // A shortcut would be a hundredfold; the rest is the noise of a busy machine.
  assert.ok(unknown > wrong / 4 && unknown < wrong * 4, `unknown ${unknown} µs, wrong ${wrong} µs`);
});

keys('are recognised, and a slip of the finger is refused', () => {
  for (const role of ['ad', 'ro', 'ge', 'ag'] as const) {
    const { text, short } = makePak(role);
    assert.equal(parsePak(text), { role, short });
    assert.is(withoutKeys(`see ${text}.`), 'see <a key>.');
    for (let at = 0; at < text.length; at += 1) {
      const slip = text[at] === 'z' ? 'y' : 'z';
      assert.is(parsePak(text.slice(0, at) + slip + text.slice(at + 1)), undefined, `at ${at}`);
      assert.is(parsePak(text.slice(0, at) + text.slice(at + 1)), undefined, `without ${at}`);
    }
  }
});

keys('are all different', () => {
  assert.is(new Set(Array.from({ length: 1_000 }, () => makePak('ag').text)).size, 1_000);
});

keys('are verified a few at a time, in turn, and the rest are refused', async () => {
  const gate = createVerificationQueue(2, 3);
  const started: number[] = [];
  const releases: (() => void)[] = [];
  const work = (number: number) =>
    gate.run(() => {
      started.push(number);
      return new Promise<void>((release) => releases.push(release));
    });
  const runs = [1, 2, 3, 4, 5].map(work);
  const error = await work(6).catch((reason: unknown) => reason);
  assert.instance(error, Refusal);
  assert.is((error as Refusal).kind, 'resource_exhausted');
  assert.equal(started, [1, 2]);
  for (let turn = 0; turn < 5; turn += 1) {
    releases.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(runs);
  assert.equal(started, [1, 2, 3, 4, 5]);
});

keys('free their place when the verification fails', async () => {
  const gate = createVerificationQueue(1, 0);
  for (let round = 0; round < 3; round += 1) {
    const failed = await gate.run(() => Promise.reject(new Error('broken'))).catch((error: Error) => error.message);
    assert.is(failed, 'broken');
  }
  assert.is(await gate.run(async () => 'done'), 'done');
});

keys.run();
