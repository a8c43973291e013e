import type { Output } from '../output/output.ts';
import { sanitize } from '../output/sanitize.ts';

/** A line of a description; it is omitted if its value is empty. */
export type Field = readonly [label: string, value: string];

/** Prints "Label:   value" lines with aligned values. */
export function printFields(output: Output, fields: readonly Field[]): void {
  const safe = fields.map(([label, value]) => [label, sanitize(value)] as const);
  for (const line of fieldLines(output, safe)) output.line(line);
}

/** Formats the same lines from values that are safe to print, and may be coloured. */
export function fieldLines(output: Output, fields: readonly Field[]): string[] {
  const present = fields.filter(([, value]) => value !== '');
  const width = Math.max(...present.map(([label]) => label.length)) + 1;
  return present.map(([label, value]) => `${output.paint('dim', `${label}:`.padEnd(width))}  ${value}`);
}

/** Prints a heading with indented lines below it; nothing without lines. */
export function printSection(output: Output, title: string, lines: string): void {
  if (lines === '') return;
  output.line('');
  output.line(output.paint('strong', title));
  output.line(lines.replace(/^/gm, '  '));
}

/** Formats annotations: "a=1, b=2". */
export function annotationsText(annotations: Readonly<Record<string, string>>): string {
  return Object.entries(annotations)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}
