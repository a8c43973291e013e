/**
 * `npm run measure [-- commit...]`: prints figures about the shape of the sources, one column for each named commit and
 * one for the working tree. It sets no limits: the figures show in which direction the tree moves.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Measure, measure } from './layout/measures.ts';
import { readSources } from './layout/sources.ts';
import { extractCommit } from './tools/git.ts';

const root = resolve(import.meta.dirname, '..');

function measureCommit(commit: string): Measure[] {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-measure-'));
  try {
    extractCommit(commit, folder);
    return measure(readSources(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Formats measures as rows of text, aligned below the titles of the columns. */
function table(titles: readonly string[], columns: readonly Measure[][]): string {
  const names = columns[0]?.map(([name]) => name) ?? [];
  const rows = [
    ['', ...titles],
    ...names.map((name, row) => [name, ...columns.map((column) => column[row]?.[1] ?? '')]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

const commits = process.argv.slice(2);
process.stdout.write(table([...commits, 'now'], [...commits.map(measureCommit), measure(readSources(root))]));
