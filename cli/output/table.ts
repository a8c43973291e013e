import Table from 'cli-table3';
import type { Output, Tone } from './output.ts';
import { sanitize } from './sanitize.ts';
import { type ColumnWidths, fitWidths } from './table-widths.ts';
import { wrapText } from './wrap-text.ts';

/** A column of a table. */
export interface Column<M> {
  readonly title: string;
  readonly text: (message: M) => string;
  readonly tone?: (message: M) => Tone | undefined;
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
  /** Holds sentences: it gets the width that the others leave, and its text is wrapped. All other texts stay on one line. */
  readonly prose?: boolean;
  /** Place in the order in which columns are shortened, then left out, when the table does not fit; 1 goes first. */
  readonly drop?: number;
}

/**
 * Renders a table without rules that fits the width of the output. Sentences are wrapped, never cut; columns that say least are
 * shortened and then left out; names stay whole, even if the table then exceeds the width. With `-o wide` all columns stay.
 */
export function renderTable<M>(output: Output, allColumns: readonly Column<M>[], messages: readonly M[]): string {
  const candidates = allColumns.filter(({ wide }) => output.wide || !wide);
  const texts = messages.map((message) => candidates.map((column) => sanitize(column.text(message)) || '-'));
  const widths = fitWidths(
    candidates.map(({ title, prose = false, drop }, index) => ({
      natural: Math.max(title.length, ...texts.map((row) => row[index]?.length ?? 0)),
      title: title.length,
      prose,
      drop: output.wide ? undefined : drop,
    })),
    output.width,
    columnGap,
  );
  const isShown = (_: unknown, index: number) => widths[index] !== undefined;
  const table = new Table({
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': columnGap },
    chars,
  });
  table.push(candidates.filter(isShown).map(({ title }) => output.paint('dim', title)));
  for (const [rowIndex, message] of messages.entries())
    table.push(
      candidates
        .map((column, index) => cell(output, column, message, texts[rowIndex]?.[index] ?? '', widths[index]))
        .filter(isShown),
    );
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Lays a text out in its column; each line is coloured by itself. */
function cell<M>(
  output: Output,
  { prose, tone }: Column<M>,
  message: M,
  text: string,
  width: ColumnWidths[number],
): string {
  if (width === undefined) return '';
  const lines = prose ? wrapText(text, width) : [text.length > width ? `${text.slice(0, width - 1)}…` : text];
  return lines.map((line) => output.paint(tone?.(message), line)).join('\n');
}

const columnGap = 3;

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
