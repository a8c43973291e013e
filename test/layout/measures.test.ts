import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFragment, measure, parse } from './measures.ts';
import { toSource } from './sources.ts';

const measures = suite('measures');

const text = `// Of those that are left,
// the oldest.
export function longest(size: number, { depth = 1 }: Options): number {
  const [first, ...others] = [size]; // Where it began.
  return others.map((other) => other + depth).length + first;
}

/** Options of a search. */
interface Options {
  readonly depth?: number;
  find(path: string): void;
}
`;

measures('functions, names and comments are read from a source', () => {
  const { functions, names, comments } = parse(toSource('broker/a.ts', text));
  assert.equal(functions, [{ name: 'longest', path: 'broker/a.ts', lines: 4 }]);
  assert.equal(
    names.toSorted(),
    ['Options', 'depth', 'depth', 'find', 'first', 'longest', 'other', 'others', 'path', 'size'].toSorted(),
  );
  assert.equal(comments, ['Of those that are left, the oldest.', 'Where it began.', 'Options of a search.']);
});

measures('a comment that opens with a clause is a fragment', () => {
  const fragments = ['What the broker sent.', 'Of those, the oldest.', 'Since when it runs.', 'To be deleted later'];
  const sentences = ['If it is gone, the next pass decides.', 'Returns what is left.', 'Milliseconds until the end'];
  assert.equal(fragments.filter(isFragment), fragments);
  assert.equal(sentences.filter(isFragment), []);
});

measures('figures are counted over the sources', () => {
  const files = [
    toSource('agent/kube/a.ts', "import '../sync/b.ts';\n".concat(text)),
    toSource('agent/sync/b.ts', "import '../kube/a.ts';\n"),
    toSource('agent/sync/b.test.ts', text),
  ];
  assert.equal(measure(files), [
    ['files', '2'],
    ['most crowded folder, sources', '1 agent/kube'],
    ['most crowded folder, tests', '1 agent/sync'],
    ['files in circles', '2'],
    ['rooms in circles', '2'],
    ['functions over 50 lines', '0 (0.0 %)'],
    ['longest function', '4 longest, agent/kube/a.ts'],
    ['mean identifier length', '5.20'],
    ['comments that open with a fragment', '66.7 %'],
    ['file lines, median / p90', '1 / 1'],
  ]);
});

measures.run();
