import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseManifest } from '../broker/deployment/parse.ts';
import { diffLines } from './src/stack/line-diff.ts';
import { decodeObjects, manifestToYaml, parseObjects, toDisplayed } from './src/stack/manifest.ts';

const revisions = suite('revisions side by side');

const text = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 });

revisions('contain every line of both texts in order, with the most equal lines possible', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const rows = diffLines(before.join('\n'), after.join('\n'));
      assert.equal(
        rows.flatMap(({ left }) => left?.text ?? []),
        before,
      );
      assert.equal(
        rows.flatMap(({ right }) => right?.text ?? []),
        after,
      );
      const same = rows.filter(({ kind }) => kind === 'same');
      assert.is(same.length, longestCommon(before, after));
      for (const { left, right } of same) assert.is(left?.text, right?.text);
    }),
  );
});

revisions('number the lines of each side', () => {
  assert.equal(diffLines('a\nb\nc\n', 'a\nx\nc\nd\n'), [
    { kind: 'same', left: { number: 1, text: 'a' }, right: { number: 1, text: 'a' } },
    { kind: 'changed', left: { number: 2, text: 'b' }, right: { number: 2, text: 'x' } },
    { kind: 'same', left: { number: 3, text: 'c' }, right: { number: 3, text: 'c' } },
    { kind: 'added', right: { number: 4, text: 'd' } },
  ]);
});

revisions('compare very different texts line by line', () => {
  const lines = (sign: string) => `first\n${Array.from({ length: 20_000 }, (_, at) => `${sign}${at}`).join('\n')}`;
  const [first, ...rest] = diffLines(lines('a'), lines('b'));
  assert.is(first?.kind, 'same');
  assert.is(rest.length, 20_000);
  assert.ok(rest.every(({ kind }) => kind === 'changed'));
});

revisions('hide the values of a Secret, and still detect that they differ', () => {
  const secret = (password: string) =>
    toDisplayed({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { password } });
  assert.not.match(secret('aHVudGVyMg==').text, 'aHVudGVyMg');
  assert.match(secret('aHVudGVyMg==').text, 'password: (hidden)');
  assert.is.not(secret('aHVudGVyMg==').secretValues, secret('aHVudGVyMw==').secretValues);
});

revisions('parse documents, lists and comments as the broker does', () => {
  const yaml = '# nothing\n---\nkind: A\n---\nkind: List\nitems: [{ kind: B }, { kind: C }]\n---\n';
  assert.equal(parseObjects(yaml), [{ kind: 'A' }, { kind: 'B' }, { kind: 'C' }]);
  assert.throws(() => parseObjects('a: [1'), 'line 1');
});

revisions('are the same to the broker after conversion to YAML for editing', () => {
  const words = [
    'yes',
    'on',
    'no',
    '~',
    'null',
    '012',
    '0o17',
    '1:30',
    '2001-01-01',
    '1e3',
    '.inf',
    '<<',
    '=',
    '- a',
    'a: b',
    '# c',
  ];
  const value = fc.oneof(
    fc.constantFrom(...words),
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant('two\nlines\n'),
  );
  const data = fc.dictionary(
    fc.oneof(fc.constantFrom(...words.filter((word) => word !== '<<')), fc.stringMatching(/^[a-z.]{1,8}$/)),
    value,
  );
  fc.assert(
    fc.property(data, value, (map, item) => {
      const object = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'a', namespace: 'b' },
        data: map,
        list: [item],
      };
      const line = manifestOf(JSON.stringify(object));
      assert.is(manifestOf(manifestToYaml(decodeObjects(Buffer.from(line)))), line);
    }),
  );
});

revisions.run();

function longestCommon(a: readonly string[], b: readonly string[]): number {
  let row = new Array<number>(b.length + 1).fill(0);
  for (const x of a) {
    const next = [0];
    for (let at = 0; at < b.length; at += 1)
      next.push(b[at] === x ? (row[at] ?? 0) + 1 : Math.max(row[at + 1] ?? 0, next[at] ?? 0));
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Parses a manifest to the form that the broker stores. */
function manifestOf(text: string): string {
  const parsed = parseManifest(Buffer.from(text));
  assert.ok('data' in parsed, JSON.stringify(parsed));
  return Buffer.from(parsed.data).toString();
}
