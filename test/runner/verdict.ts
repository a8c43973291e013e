import { suitesOf, type TestFile } from './test-file.ts';

/** The end of a test file's process. */
export interface Run {
  readonly output: string;
  readonly exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null };
  readonly durationMs: number;
  /** Reason why the guard ended the process, if it did. */
  readonly ended?: string;
  /** Processes that were still running after it had ended, one line each. */
  readonly left: readonly string[];
}

export interface Verdict {
  readonly passed: number;
  /** At least 1 when anything was wrong, whatever uvu printed. */
  readonly failed: number;
  readonly skipped: number;
  /** Lines printed by `needs`, such as `go: no Go tool chain ...`. */
  readonly skips: readonly string[];
  readonly problems: readonly string[];
}

/**
 * Decides the outcome of a run. uvu alone exits with 0 when a `before` hook throws, when `.run()` is forgotten and when
 * `.only` is left in, so its closing lines are read and compared with the source.
 */
export function judge(file: Pick<TestFile, 'source'>, run: Run): Verdict {
  const output = run.output.replaceAll('\r\n', '\n');
  const skips = [...output.matchAll(/^SKIP (.+: .+)$/gm)].map(([, reason = '']) => reason);
  const suites = suitesOf(file.source);
  const reported = [...output.matchAll(/ {2}\(\d+ \/ \d+\)\n/g)].length;
  const closing = closingLines(output);
  const problems: string[] = [];
  if (run.ended !== undefined) problems.push(run.ended);
  else if (run.exit.signal !== null) problems.push(`ended by ${run.exit.signal}`);
  if (closing === undefined) problems.push('did not get to its closing lines');
  else {
    if (closing.passed !== closing.total) problems.push(`${closing.passed} of ${closing.total} tests passed`);
    if (closing.total === 0 && skips.length === 0) problems.push('ran no test');
    if (closing.skipped > 0) problems.push(`${closing.skipped} tests skipped by .skip or .only`);
    if (reported < suites.length) problems.push(`${reported} of ${suites.length} suites ran: is a .run() missing?`);
  }
  if (run.exit.code !== 0 && run.exit.code !== null && problems.length === 0)
    problems.push(`exited with ${run.exit.code}`);
  for (const line of run.left) problems.push(`left a process running: ${line}`);
  const passed = closing?.passed ?? 0;
  const total = closing?.total ?? 0;
  return {
    passed,
    failed: problems.length === 0 ? 0 : Math.max(1, total - passed),
    skipped: skips.length === 0 ? 0 : Math.max(skips.length, declared(suites) - total),
    skips,
    problems,
  };
}

/** Finds uvu's closing lines: the last ones, since a test may print such lines too. */
function closingLines(output: string): { total: number; passed: number; skipped: number } | undefined {
  const found = [...output.matchAll(/^ {2}Total: {5}(\d+)\n {2}Passed: {4}(\d+)\n {2}Skipped: {3}(\d+)\n/gm)].at(-1);
  if (!found) return undefined;
  const [total = 0, passed = 0, skipped = 0] = found.slice(1).map(Number);
  return { total, passed, skipped };
}

/** A lower bound: a test declared in a loop counts once. */
function declared(suites: readonly { tests: number }[]): number {
  return suites.reduce((sum, { tests }) => sum + tests, 0);
}
