import Table from 'cli-table3';
import type { Output, Tone } from './output.ts';
import { sanitize } from './sanitize.ts';

/** A column of a table. */
export interface Column<M> {
  readonly title: string;
  readonly text: (message: M) => string;
  readonly tone?: (message: M) => Tone | undefined;
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
}

/**
 * Renders a table without rules that fits the width of the output. Cells of the widest columns are truncated, but never those of
 * the first column, which holds the name.
 */
export function renderTable<M>(output: Output, allColumns: readonly Column<M>[], messages: readonly M[]): string {
  const columns = allColumns.filter(({ wide }) => output.wide || !wide);
  const rows = messages.map((message) => columns.map((column) => sanitize(column.text(message)) || '-'));
  const widths = fitWidths(
    columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0))),
    columns.map(({ title }) => Math.max(title.length, minColumnWidth)),
    output.width - columnGap * (columns.length - 1),
  );
  const table = new Table({
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': columnGap },
    chars,
  });
  table.push(columns.map((column) => output.paint('dim', column.title)));
  for (const [rowIndex, message] of messages.entries()) {
    table.push(
      columns.map((column, columnIndex) => {
        const text = rows[rowIndex]?.[columnIndex] ?? '';
        const width = widths[columnIndex] ?? text.length;
        const truncated = text.length > width ? `${text.slice(0, width - 1)}…` : text;
        return output.paint(column.tone?.(message), truncated);
      }),
    );
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Shrinks the widest columns until all fit into `available`, but none below its minimum, and never the first one. */
function fitWidths(widths: readonly number[], minimums: readonly number[], available: number): number[] {
  const fitted = [...widths];
  for (let excess = fitted.reduce((sum, width) => sum + width, 0) - available; excess > 0; excess -= 1) {
    const shrinkable = fitted.map((width, index) => (index > 0 && width > (minimums[index] ?? 0) ? width : 0));
    const widest = Math.max(...shrinkable);
    if (widest === 0) break;
    fitted[shrinkable.indexOf(widest)] = widest - 1;
  }
  return fitted;
}

const columnGap = 3;
const minColumnWidth = 8;

const outerBorders = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
] as const;
const innerBorders = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'] as const;
const chars = Object.fromEntries([...outerBorders, ...innerBorders].map((border) => [border, '']));
