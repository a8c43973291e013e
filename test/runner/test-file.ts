import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** A test file, with the settings in its source. */
export interface TestFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly source: string;
  readonly limitMs: number;
}

const DEFAULT_LIMIT_MS = 5 * 60_000;
const LONGEST_LIMIT_MIN = 20;
const NOT_OURS = new Set(['node_modules', 'gen', '.cache', '.git', '.brokkr', 'dist']);

/**
 * Finds the test files below `root` whose path contains one of the patterns (all files without patterns). Those with
 * the longest time limit come first, so that they do not delay the end.
 */
export function findTestFiles(root: string, patterns: readonly string[] = []): TestFile[] {
  return readdirSync(root, { recursive: false, withFileTypes: true })
    .flatMap((entry) => walk(root, root, entry))
    .filter((path) => patterns.length === 0 || patterns.some((pattern) => path.includes(plain(pattern))))
    .map((path) => readTestFile(root, path))
    .sort((a, b) => b.limitMs - a.limitMs || (a.path < b.path ? -1 : 1));
}

/**
 * Returns the time limit of a file: 5 minutes, or what its first line declares: `// time limit: 10 min`, at most 20.
 */
export function limitOf(source: string): number {
  const [, minutes] = /^\/\/ time limit: (\d+) min\r?\n/.exec(source) ?? [];
  return minutes === undefined ? DEFAULT_LIMIT_MS : Math.min(Number(minutes), LONGEST_LIMIT_MIN) * 60_000;
}

/** Returns the suites that a source creates, each with the number of its declared tests and of its runs. */
export function suitesOf(source: string): { name: string; tests: number; runs: number }[] {
  const made = [...source.matchAll(/^\s*(?:export )?const (\w+) = suite(?:<[^>]*>)?\(/gm)];
  return made.map(([, name = '']) => ({
    name,
    tests: count(source, new RegExp(`^\\s*${name}\\(`, 'gm')),
    runs: count(source, new RegExp(`^${name}\\.run\\(\\)`, 'gm')),
  }));
}

/** Returns the arguments of `needs` in a source. */
export function needsOf(source: string): string[] {
  return [...source.matchAll(/\bneeds\('([\w-]+)'\)/g)].map(([, kind = '']) => kind);
}

function readTestFile(root: string, path: string): TestFile {
  const source = readFileSync(join(root, path), 'utf8');
  return { path, source, limitMs: limitOf(source) };
}

function walk(root: string, folder: string, entry: { name: string; isDirectory(): boolean }): string[] {
  const path = join(folder, entry.name);
  if (!entry.isDirectory()) return entry.name.endsWith('.test.ts') ? [plain(relative(root, path))] : [];
  if (NOT_OURS.has(entry.name)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((inner) => walk(root, path, inner));
}

function plain(path: string): string {
  return path.replaceAll('\\', '/').replace(/^\.\//, '');
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}
