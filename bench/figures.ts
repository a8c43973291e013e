import { cpus, totalmem } from 'node:os';

/** Describes the machine in one line; figures mean nothing without it. */
export function describeMachine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${process.platform}`;
}

/** Returns the value below which a fraction (0 to 1) of the values lies. */
function percentile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

/** Returns the median. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Prints a figure with its name, its value and a note on how it was measured. */
export function printFigure(name: string, value: string, note = ''): void {
  process.stdout.write(`${name.padEnd(44)} ${value.padStart(24)}${note ? `   ${note}` : ''}\n`);
}

/** Formats milliseconds: "9.5 ms", "12 ms". */
export function formatMs(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** Formats the percentiles p50 and p99 of durations in milliseconds. */
export function formatPercentiles(values: readonly number[]): string {
  return `p50 ${formatMs(median(values))}, p99 ${formatMs(percentile(values, 0.99))}`;
}
