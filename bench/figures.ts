import { cpus, totalmem } from 'node:os';

/** One line of what this was measured on: figures mean nothing without it. */
export function describeMachine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${process.platform}`;
}

/** The value below which a share (0 to 1) of the values lie. */
function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The value below which half of the values lie. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Prints one figure: its name, what it is and how it came about. */
export function printFigure(name: string, value: string, note = ''): void {
  process.stdout.write(`${name.padEnd(44)} ${value.padStart(24)}${note ? `   ${note}` : ''}\n`);
}

export function formatMs(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** p50 and p99. */
export function formatPercentiles(values: readonly number[]): string {
  return `p50 ${formatMs(median(values))}, p99 ${formatMs(percentile(values, 0.99))}`;
}
