/**
 * `npm test [-- pattern...]`: runs every test file as a process of its own, and counts only tests that really ran. The
 * last line is `N passed, N failed`, with `, N skipped` when this machine lacks something.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { buildKube, isGoInstalled } from '../sandbox/apiserver/build.ts';
import { runFile } from './runner/run-file.ts';
import { findNeeds, findTestFiles, type TestFile } from './runner/test-file.ts';
import { evaluateRun, type Run, type Verdict } from './runner/verdict.ts';

/** Files wait as much as they compute, so one more than there are cores runs at a time; each may start databases and API servers. */
const CONCURRENCY = Math.min(availableParallelism() + 1, 4);

interface FileResult extends Verdict {
  readonly path: string;
}

/** Runs the test files below `root` that match. Returns true when all passed. Aborting the signal ends them. */
export async function runTests(
  root: string,
  patterns: readonly string[],
  signal: AbortSignal,
  print: (line: string) => void,
): Promise<boolean> {
  const files = findTestFiles(root, patterns);
  const seed = process.env.BROKKR_TEST_SEED;
  if (seed !== undefined) print(`seed ${seed} (BROKKR_TEST_SEED)`);
  if (files.length === 0) print(`no test file matches ${patterns.join(' ') || '*.test.ts'}`);
  const buildFailure = await prepare(files, signal, print);
  const width = Math.max(0, ...files.map(({ path }) => path.length));
  const results: FileResult[] = [];
  const queue = [...files];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined && !signal.aborted; file = queue.shift()) {
      const run =
        buildFailure !== undefined && needsKube(file)
          ? toSkippedRun(buildFailure)
          : await runFile(file, { root, signal });
      const verdict = evaluateRun(file, run);
      results.push({ path: file.path, ...verdict });
      print(formatResult(file.path.padEnd(width), verdict, run.durationMs));
      if (verdict.failed > 0) print(formatFailure(verdict, run));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return summarise(results, files.length, print);
}

/** Builds the real API server before any time limit starts. Returns the reason when that fails. */
async function prepare(files: readonly TestFile[], signal: AbortSignal, print: (line: string) => void) {
  if (!files.some(needsKube) || !isGoInstalled() || process.env.KUBEBUILDER_ASSETS) return undefined;
  try {
    await buildKube(signal, print);
    return undefined;
  } catch (error) {
    return `the real API server could not be built: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function needsKube(file: TestFile): boolean {
  return findNeeds(file.source).includes('go');
}

function toSkippedRun(reason: string): Run {
  return {
    output: '',
    exit: { code: null, signal: null },
    durationMs: 0,
    endedBy: `not run: ${reason}`,
    remaining: [],
  };
}

function formatResult(path: string, { passed, failed, skipped }: Verdict, durationMs: number): string {
  const word = failed > 0 ? 'FAIL' : skipped > 0 && passed === 0 ? 'skip' : 'ok  ';
  return `${word}  ${path}  ${formatCounts(passed, failed, skipped)}  ${(durationMs / 1_000).toFixed(1)} s`;
}

function formatFailure({ problems }: Verdict, { output }: Run): string {
  const indented = output.trimEnd().replace(/^/gm, '  | ');
  return `${problems.map((problem) => `  ${problem}`).join('\n')}\n${indented}`;
}

function summarise(results: readonly FileResult[], expected: number, print: (line: string) => void): boolean {
  const sum = (of: (result: FileResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const failures = results.filter(({ failed }) => failed > 0);
  const skipping = results.filter(({ skips }) => skips.length > 0);
  print('');
  if (skipping.length > 0) print('Skipped, because this machine lacks something:');
  for (const { path, skips, skipped } of skipping)
    print(`  ${path}: ${skipped} tests (${[...new Set(skips)].join('; ')})`);
  if (failures.length > 0) print('Failed:');
  for (const { path, problems } of failures) print(`  ${path}: ${problems.join('; ')}`);
  const unrun = expected - results.length;
  if (unrun > 0) print(`${unrun} files were not run`);
  print(`${results.length} of ${expected} files`);
  // A run without tests has not passed.
  const failed = sum((result) => result.failed) + unrun + (expected === 0 ? 1 : 0);
  print(
    formatCounts(
      sum(({ passed }) => passed),
      failed,
      sum(({ skipped }) => skipped),
      true,
    ),
  );
  return failed === 0;
}

function formatCounts(passed: number, failed: number, skipped: number, always = false): string {
  const parts = [`${passed} passed`];
  if (always || failed > 0) parts.push(`${failed} failed`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  return parts.join(', ');
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort(new Error(name)));
  const root = resolve(import.meta.dirname, '..');
  const passed = await runTests(root, process.argv.slice(2), stop.signal, (line) => process.stdout.write(`${line}\n`));
  process.exitCode = passed ? 0 : 1;
}
