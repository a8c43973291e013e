import { stripVTControlCharacters } from 'node:util';
import { type DescMessage, type JsonValue, type MessageShape, toJson } from '@bufbuild/protobuf';
import Table from 'cli-table3';
import pc from 'picocolors';
import { stringify } from 'yaml';
import { parseTemplate, type Template } from './jsonpath.ts';
import type { OutputFormat, OutputOption } from './output-format.ts';

/** The meaning of a colour. */
export type Tone = 'good' | 'bad' | 'warn' | 'dim' | 'strong';

/** Prints the result of a command to standard output and notes to standard error. */
export interface Output {
  readonly format: OutputFormat;
  /** The template of `-o jsonpath=`; undefined for the whole JSON. */
  readonly template: Template | undefined;
  /** Maximum width of a table in characters; infinite without a terminal. */
  readonly width: number;
  /** `-o wide` was given: show all columns and all entries. */
  readonly wide: boolean;
  /** Colours a text if standard output is a terminal; without a tone it stays plain. */
  paint(tone: Tone | undefined, text: string): string;
  /** Colours a text by a key: the same key always gets the same colour. */
  tint(key: string, text: string): string;
  /** Prints a line of the result. */
  line(text: string): void;
  /** Prints a note to the user. */
  note(text: string): void;
}

/** Describes how to print one kind of resource. */
export interface View<D extends DescMessage> {
  readonly schema: D;
  /** Field of the list in JSON, as the API calls it. */
  readonly listField: string;
  /** Plural for users; default `listField`. */
  readonly displayName?: string;
  readonly columns: readonly Column<MessageShape<D>>[];
  /** Returns the name by which other commands accept the resource. */
  readonly name: (message: MessageShape<D>) => string;
}

/** A column of a table. */
export interface Column<M> {
  readonly title: string;
  readonly text: (message: M) => string;
  readonly tone?: (message: M) => Tone | undefined;
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
}

/** Opens the output of a command in the form that `-o` selects. Throws a Failure for an invalid jsonpath template. */
export function openOutput(option: OutputOption): Output {
  const colours = pc.createColors(supportsColours(process.stdout));
  const tones: Record<Tone, (text: string) => string> = {
    good: colours.green,
    bad: colours.red,
    warn: colours.yellow,
    dim: colours.dim,
    strong: colours.bold,
  };
  const { cyan, green, magenta, blue, yellow, cyanBright, greenBright, magentaBright, blueBright } = colours;
  const tints = [cyan, green, magenta, blue, yellow, cyanBright, greenBright, magentaBright, blueBright];
  return {
    format: formatOf(option),
    template: option.startsWith(jsonpathPrefix) ? parseTemplate(option.slice(jsonpathPrefix.length)) : undefined,
    wide: option === 'wide',
    width: process.stdout.isTTY ? process.stdout.columns || defaultWidth : Number.POSITIVE_INFINITY,
    paint: (tone, text) => (tone === undefined ? text : tones[tone](text)),
    tint(key, text) {
      const hash = [...key].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_521, 7);
      return tints[hash % tints.length]!(text);
    },
    line: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
  };
}

const jsonpathPrefix = 'jsonpath=';

function formatOf(option: OutputOption): OutputFormat {
  if (option === 'wide') return 'table';
  return option.startsWith(jsonpathPrefix) ? 'json' : (option as OutputFormat);
}

/** Makes untrusted text safe to print on one line: removes control sequences and collapses white space. */
export function sanitize(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}

/** Makes untrusted text safe to print as a line of its own; unlike `sanitize` it keeps the spacing. */
export function sanitizeLine(text: string): string {
  return stripVTControlCharacters(text.replaceAll('\t', '    ')).replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}

/** Prints a list as a table, as JSON or YAML of the API, or as names. */
export function printList<D extends DescMessage>(
  out: Output,
  view: View<D>,
  messages: readonly MessageShape<D>[],
): void {
  if (out.format === 'name') for (const message of messages) out.line(view.name(message));
  else if (out.format !== 'table')
    printJson(out, { [view.listField]: messages.map((message) => jsonOf(view.schema, message)) });
  else if (messages.length === 0) out.note(`no ${view.displayName ?? view.listField}`);
  else out.line(renderTable(out, view.columns, messages));
}

/** Prints one resource; `printDetails` prints it in the form for people. */
export function printOne<D extends DescMessage>(
  out: Output,
  view: Pick<View<D>, 'schema' | 'name'>,
  message: MessageShape<D>,
  printDetails: () => void,
): void {
  if (out.format === 'table') printDetails();
  else if (out.format === 'name') out.line(view.name(message));
  else printJson(out, jsonOf(view.schema, message));
}

/** Converts a message to its JSON form, including unset and zero fields, so that readers need not know the defaults. */
export function jsonOf<D extends DescMessage>(schema: D, message: MessageShape<D>): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

/** Prints a value as JSON, as YAML, or through the template of `-o jsonpath=`. */
export function printJson(out: Output, value: JsonValue): void {
  if (out.template) out.line(out.template(value).replace(/\n$/, ''));
  else out.line(out.format === 'yaml' ? stringify(value, { lineWidth: 0 }).trimEnd() : JSON.stringify(value, null, 2));
}

/**
 * Renders a table without rules that fits the width of the output. Cells of the widest columns are truncated, but never those of
 * the first column, which holds the name.
 */
export function renderTable<M>(out: Output, allColumns: readonly Column<M>[], messages: readonly M[]): string {
  const columns = allColumns.filter(({ wide }) => out.wide || !wide);
  const rows = messages.map((message) => columns.map((column) => sanitize(column.text(message)) || '-'));
  const widths = fitWidths(
    columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0))),
    columns.map(({ title }) => Math.max(title.length, minColumnWidth)),
    out.width - columnGap * (columns.length - 1),
  );
  const table = new Table({
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': columnGap },
    chars,
  });
  table.push(columns.map((column) => out.paint('dim', column.title)));
  for (const [rowIndex, message] of messages.entries()) {
    table.push(
      columns.map((column, columnIndex) => {
        const text = rows[rowIndex]?.[columnIndex] ?? '';
        const width = widths[columnIndex] ?? text.length;
        const truncated = text.length > width ? `${text.slice(0, width - 1)}…` : text;
        return out.paint(column.tone?.(message), truncated);
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

/** Renders a table within a larger text: empty without rows, and without columns that have the same value in each row. */
export function renderSubtable<D extends DescMessage>(
  out: Output,
  view: View<D>,
  messages: readonly MessageShape<D>[],
  ...hiddenColumns: readonly string[]
): string {
  const columns = view.columns.filter(({ title }) => !hiddenColumns.includes(title));
  return messages.length === 0 ? '' : renderTable(out, columns, messages);
}

const columnGap = 3;
const defaultWidth = 80;
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

function supportsColours(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
