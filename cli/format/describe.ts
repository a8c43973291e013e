import type { Output } from '../output/output.ts';
import { sanitize } from '../output/output.ts';

/** One line of a description; without a value it is left out. */
export type Field = readonly [label: string, value: string];

/** Prints "Label:   value" lines, the values below one another. */
export function printFields(out: Output, facts: readonly Field[]): void {
  const safe = facts.map(([label, value]) => [label, sanitize(value)] as const);
  for (const line of fieldLines(out, safe)) out.line(line);
}

/** The same lines, of values that are coloured already. */
export function fieldLines(out: Output, facts: readonly Field[]): string[] {
  const told = facts.filter(([, value]) => value !== '');
  const width = Math.max(...told.map(([label]) => label.length)) + 1;
  return told.map(([label, value]) => `${out.paint('dim', `${label}:`.padEnd(width))}  ${value}`);
}

/** Prints a heading and the lines below it, unless there are none. */
export function printSection(out: Output, title: string, lines: string): void {
  if (lines === '') return;
  out.line('');
  out.line(out.paint('strong', title));
  out.line(lines.replace(/^/gm, '  '));
}

export function annotationsText(annotations: Readonly<Record<string, string>>): string {
  return Object.entries(annotations)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}
