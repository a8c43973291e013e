import pc from 'picocolors';
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

const defaultWidth = 80;

function supportsColours(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
