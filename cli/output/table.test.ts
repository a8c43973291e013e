import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openOutput } from './output.ts';
import { type Column, renderTable } from './table.ts';
import { wrapText } from './wrap-text.ts';

interface Row {
  readonly name: string;
  readonly annotations: string;
  readonly status: string;
  readonly message: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', text: ({ name }) => name },
  { title: 'ANNOTATIONS', text: ({ annotations }) => annotations, drop: 1 },
  { title: 'STATUS', text: ({ status }) => status },
  { title: 'MESSAGE', text: ({ message }) => message, prose: true },
];
const sentence = 'nothing was applied: the admission webhook policy.example.com denied the request';
const rows: readonly Row[] = [
  { name: 'a-name-that-must-stay', annotations: 'region=eu,tier=frontend', status: 'failed', message: sentence },
  { name: 'b', annotations: '', status: 'applied', message: '' },
];
const at = (width: number, wide = false) =>
  renderTable({ ...openOutput('table'), width, wide }, columns, rows).split('\n');
/** The sentence as it is read from its column, line by line. */
const sentenceIn = (lines: readonly string[]) =>
  lines
    .slice(1, -1)
    .map((line) => line.slice(lines[0]?.indexOf('MESSAGE')))
    .join(' ');

const tables = suite('cli: tables');

tables('are complete if there is space', () => {
  const [titles, first, second] = at(Number.POSITIVE_INFINITY);
  assert.is(titles, 'NAME                    ANNOTATIONS               STATUS    MESSAGE');
  assert.is(first, `a-name-that-must-stay   region=eu,tier=frontend   failed    ${sentence}`);
  assert.is(second, 'b                       -                         applied   -');
});

tables('wrap sentences and never cut them', () => {
  for (const width of [140, 120, 100, 80, 66]) {
    const lines = at(width);
    assert.ok(Math.max(...lines.map(({ length }) => length)) <= width, `${width}\n${lines.join('\n')}`);
    assert.is(sentenceIn(lines), sentence, `at ${width}`);
    assert.match(lines.at(-1) ?? '', /^b .* -$/);
  }
});

tables('shorten what says least, then leave it out; names and states stay', () => {
  assert.match(at(100)[1] ?? '', /^a-name-that-must-stay {3}region=eu,tier=frontend {3}failed/);
  assert.match(at(84)[1] ?? '', /^a-name-that-must-stay {3}region=eu,.*… {3}failed/);
  const narrow = at(72);
  assert.match(narrow[0] ?? '', /^NAME +STATUS +MESSAGE$/);
  assert.match(narrow[1] ?? '', /^a-name-that-must-stay {3}failed/);
});

tables('show every column with -o wide, and exceed a width that nothing fits', () => {
  assert.match(at(72, true)[0] ?? '', /^NAME +ANNOTATIONS +STATUS +MESSAGE$/);
  const lines = at(20);
  assert.match(lines[1] ?? '', /^a-name-that-must-stay {3}failed {4}nothing was applied: the$/);
  assert.is(sentenceIn(lines), sentence);
});

tables('break a word only when it is longer than its column', () => {
  assert.equal(wrapText('one two three', 7), ['one two', 'three']);
  assert.equal(wrapText('abcdefghij kl', 4), ['abcd', 'efgh', 'ij', 'kl']);
  assert.equal(wrapText('', 4), ['']);
});

tables.run();
