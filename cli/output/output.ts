import { stripVTControlCharacters } from 'node:util';
import { type DescMessage, type JsonValue, type MessageShape, toJson } from '@bufbuild/protobuf';
import Table from 'cli-table3';
import pc from 'picocolors';
import { stringify } from 'yaml';
import { parseTemplate, type Template } from './jsonpath.ts';
import type { OutputFormat, OutputOption } from './output-format.ts';

export type Tone = 'good' | 'bad' | 'warn' | 'dim' | 'strong';

/** Where a command's answer goes: data to standard output, everything said to people besides it to standard error. */
export interface Output {
  readonly format: OutputFormat;
  /** What to pick from the JSON, when that is not all of it. */
  readonly template: Template | undefined;
  /** How many characters of a table fit beside one another: without an end where there is no terminal. */
  readonly width: number;
  /** Whether people asked for a table with more in it. */
  readonly wide: boolean;
  /** Colours a piece of text for standard output, when that is a terminal; without a tone it stays as it is. */
  paint(tone: Tone | undefined, text: string): string;
  /** Colours it so that the same key always has the same colour. */
  tint(key: string, text: string): string;
  /** A line of the answer. */
  line(text: string): void;
  /** A line beside the answer. */
  note(text: string): void;
}

/** How one kind of thing is shown. */
export interface View<D extends DescMessage> {
  readonly schema: D;
  /** The list's name in JSON: as in the contract's answer. */
  readonly listField: string;
  /** What people call them; default `plural`. */
  readonly displayName?: string;
  readonly columns: readonly Column<MessageShape<D>>[];
  /** What other commands take for it. */
  readonly name: (message: MessageShape<D>) => string;
}

export interface Column<M> {
  readonly title: string;
  readonly text: (message: M) => string;
  readonly tone?: (message: M) => Tone | undefined;
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
}

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
      const sum = [...key].reduce((before, letter) => (before * 31 + letter.charCodeAt(0)) % 65_521, 7);
      return tints[sum % tints.length]!(text);
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

/** Text from elsewhere in one line, without what a terminal would obey. */
export function sanitize(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}

/** Text from elsewhere as a line of its own: as `printable`, with the spaces that it has. */
export function sanitizeLine(text: string): string {
  return stripVTControlCharacters(text.replaceAll('\t', '    ')).replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}

/** Prints a list: a table, the contract's JSON or YAML, or names only. */
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

/** Prints one message; `inFull` prints what people read. */
export function printOne<D extends DescMessage>(
  out: Output,
  view: Pick<View<D>, 'schema' | 'name'>,
  message: MessageShape<D>,
  inFull: () => void,
): void {
  if (out.format === 'table') inFull();
  else if (out.format === 'name') out.line(view.name(message));
  else printJson(out, jsonOf(view.schema, message));
}

/** The contract's JSON form, with fields that are unset or zero, so that a reader need not know the defaults. */
export function jsonOf<D extends DescMessage>(schema: D, message: MessageShape<D>): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

export function printJson(out: Output, value: JsonValue): void {
  if (out.template) out.line(out.template(value).replace(/\n$/, ''));
  else out.line(out.format === 'yaml' ? stringify(value, { lineWidth: 0 }).trimEnd() : JSON.stringify(value, null, 2));
}

/**
 * A table without lines that fits its place: what is too much is cut from the widest columns, but never from the first, by which
 * things are called.
 */
export function renderTable<M>(out: Output, all: readonly Column<M>[], messages: readonly M[]): string {
  const columns = all.filter(({ wide }) => out.wide || !wide);
  const rows = messages.map((message) => columns.map((column) => sanitize(column.text(message)) || '-'));
  const widths = fitWidths(
    columns.map(({ title }, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0))),
    columns.map(({ title }) => Math.max(title.length, minColumnWidth)),
    out.width - columnGap * (columns.length - 1),
  );
  const table = new Table({
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': columnGap },
    chars,
  });
  table.push(columns.map((column) => out.paint('dim', column.title)));
  for (const [index, message] of messages.entries()) {
    table.push(
      columns.map((column, at) => {
        const text = rows[index]?.[at] ?? '';
        const room = widths[at] ?? text.length;
        const cut = text.length > room ? `${text.slice(0, room - 1)}…` : text;
        return out.paint(column.tone?.(message), cut);
      }),
    );
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Widths that together have no more than `room`, as far as the least that each needs allows; the first one stays. */
function fitWidths(widths: readonly number[], least: readonly number[], room: number): number[] {
  const fit = [...widths];
  for (let over = fit.reduce((sum, width) => sum + width, 0) - room; over > 0; over -= 1) {
    const spare = fit.map((width, at) => (at > 0 && width > (least[at] ?? 0) ? width : 0));
    const widest = Math.max(...spare);
    if (widest === 0) break;
    fit[spare.indexOf(widest)] = widest - 1;
  }
  return fit;
}

/** A table as a part of something larger: nothing without rows, and without the columns that would say the same in each. */
export function renderSubtable<D extends DescMessage>(
  out: Output,
  view: View<D>,
  messages: readonly MessageShape<D>[],
  ...without: readonly string[]
): string {
  const columns = view.columns.filter(({ title }) => !without.includes(title));
  return messages.length === 0 ? '' : renderTable(out, columns, messages);
}

const columnGap = 3;
const defaultWidth = 80;
const minColumnWidth = 8;

const sides = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
] as const;
const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'] as const;
const chars = Object.fromEntries([...sides, ...inner].map((side) => [side, '']));

function supportsColours(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
