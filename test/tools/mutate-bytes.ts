/** Returns a generator of numbers from 0 up to but not including `below`, which the seed repeats (mulberry32). */
export function seededNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Bytes that break parsers of lengths, numbers and texts. */
const pieces = [
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
  Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
  Buffer.from([0x0b, 0x0c, 0x0e, 0x0f, 0x07]),
  Buffer.alloc(64, 0x0b),
  Buffer.from('\0'),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from('"\\ud800"'),
  Buffer.from('{"a":'.repeat(200)),
  Buffer.from('[[[[[[[['),
  Buffer.from('1e999'),
  Buffer.from('-9223372036854775809'),
  Buffer.from('"__proto__":{"x":1},'),
  Buffer.from(`';--`),
];

/** Makes one to four changes of some bytes: bits, bytes, pieces, cuts and repetitions. */
export function mutateBytes(bytes: Uint8Array, random: (below: number) => number): Buffer<ArrayBufferLike> {
  let mutated: Buffer<ArrayBufferLike> = Buffer.from(bytes);
  for (let changes = 1 + random(4); changes > 0; changes -= 1) mutated = change(mutated, random);
  return mutated;
}

function change(bytes: Buffer<ArrayBufferLike>, random: (below: number) => number): Buffer<ArrayBufferLike> {
  const at = random(bytes.length + 1);
  const to = Math.min(bytes.length, at + 1 + random(16));
  const [head, part, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
  switch (random(7)) {
    case 0:
      return Buffer.concat([head, Buffer.from(part.map((byte) => byte ^ (1 << random(8)))), tail]);
    case 1:
      return Buffer.concat([head, Buffer.from(part.map(() => random(256))), tail]);
    case 2:
      return Buffer.concat([head, pieces[random(pieces.length)] as Buffer, tail]);
    case 3:
      return Buffer.concat([head, tail]);
    case 4:
      return head;
    case 5:
      return Buffer.concat([head, part, part, part, tail]);
    default:
      return Buffer.concat([head, pieces[random(pieces.length)] as Buffer, bytes.subarray(at)]);
  }
}
