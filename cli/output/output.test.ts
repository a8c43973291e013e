import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Column, openOutput, renderTable } from './output.ts';

interface Row {
  readonly name: string;
  readonly labels: string;
  readonly message: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', text: ({ name }) => name },
  { title: 'LABELS', text: ({ labels }) => labels },
  { title: 'MESSAGE', text: ({ message }) => message },
];
const rows: readonly Row[] = [
  { name: 'a-name-that-must-stay', labels: 'x'.repeat(40), message: 'm'.repeat(30) },
  { name: 'b', labels: 'short', message: '' },
];
const at = (width: number) => renderTable({ ...openOutput('table'), width }, columns, rows).split('\n');

const tables = suite('cli: tables');

tables('are whole where there is room', () => {
  const [, first] = at(Number.POSITIVE_INFINITY);
  assert.is(first, `a-name-that-must-stay   ${'x'.repeat(40)}   ${'m'.repeat(30)}`);
  assert.is(Math.max(...at(97).map(({ length }) => length)), 97);
});

tables('fit a terminal: the widest columns give way, never the names', () => {
  for (const width of [96, 80, 60]) {
    const lines = at(width);
    assert.is(Math.max(...lines.map(({ length }) => length)), width);
    assert.match(lines[1] ?? '', /^a-name-that-must-stay {3}x+… {3}m+…?$/);
    assert.match(lines[2] ?? '', /^b +short +-$/);
  }
});

tables('stay readable where nothing fits', () => {
  const [title, first] = at(20);
  assert.match(title ?? '', /^NAME +LABELS +MESSAGE$/);
  assert.is(first, 'a-name-that-must-stay   xxxxxxx…   mmmmmmm…');
});

tables.run();
