import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { build, InlineConfig } from 'vite';

const root = resolve(import.meta.dirname, '..');
const dist = join(import.meta.dirname, 'dist');
/** On the same disk as `dist`, so that a whole build takes its place at once. */
const workshop = join(root, '.cache');
const stampName = 'stamp.txt';
const packagesName = 'packages.txt';
/** What the built files follow from. */
const sources = [
  'console/src',
  'contract',
  'console/index.html',
  'console/build.ts',
  'gen/brokkr',
  'package-lock.json',
];

/** How Vite makes the console, without a file of its own that another directory's could be taken for. */
export const viteConfig = {
  configFile: false,
  root: import.meta.dirname,
  logLevel: 'warn',
  // Links to views work at every depth, and all files lie below /assets/.
  base: '/',
  build: {
    target: 'es2024',
    // Fonts and icons as data: URLs would need a weaker content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
} satisfies InlineConfig;

/**
 * Builds the console into `console/dist`, unless it is there and was made from what the sources are now. Several processes may do so
 * at the same time: each makes a folder of its own, and the last one's stays.
 *
 * @returns whether it had to be built. Rejects when the sources cannot be built, or Vite is not installed.
 */
export async function buildConsole(): Promise<boolean> {
  const stamp = stampOf(sources.map((path) => join(root, path)));
  if (builtFrom() === stamp) return false;
  const { build } = await import('vite');
  mkdirSync(workshop, { recursive: true });
  const made = mkdtempSync(join(workshop, 'console-'));
  try {
    const fresh = join(made, 'dist');
    const result = await build({ ...viteConfig, build: { ...viteConfig.build, outDir: fresh, emptyOutDir: false } });
    writeFileSync(join(fresh, packagesName), packagesIn(result).join('\n'));
    writeFileSync(join(fresh, stampName), stamp);
    replaceWith(fresh);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return true;
}

/** The folders of the packages that are in the built console, for their licenses. */
export function packagesOfConsole(): string[] {
  const names = readFileSync(join(dist, packagesName), 'utf8').split('\n');
  return names.map((name) => join(root, 'node_modules', name));
}

function packagesIn(result: Awaited<ReturnType<typeof build>>): string[] {
  const outputs = [result].flat().flatMap((one) => ('output' in one ? one.output : []));
  const files = outputs.flatMap((output) => (output.type === 'chunk' ? output.moduleIds : output.originalFileNames));
  const names = files.flatMap((file) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(`/${file}`)?.[1] ?? []);
  return [...new Set(names)].sort();
}

function builtFrom(): string | undefined {
  const path = join(dist, stampName);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Over names and contents, since a checkout says nothing by its times. */
function stampOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name));
    else hash.update(path.slice(root.length)).update('\0').update(readFileSync(path)).update('\0');
  };
  for (const path of paths) add(path);
  return hash.digest('hex');
}

function replaceWith(fresh: string): void {
  try {
    // What was there goes with the folder that the fresh one was made in.
    if (existsSync(dist)) renameSync(dist, `${fresh}-old`);
    renameSync(fresh, dist);
  } catch (error) {
    // Somebody else was faster with the same.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error;
  }
}
