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
/** On the same disk as `dist`, so that a finished build replaces it by one rename. */
const buildRoot = join(root, '.cache');
const stampName = 'stamp.txt';
const packagesName = 'packages.txt';
/** The inputs of the build. */
const sources = [
  'console/src',
  'contract',
  'console/index.html',
  'console/build.ts',
  'gen/brokkr',
  'package-lock.json',
];

/** Vite's configuration, kept here instead of in a file so that Vite cannot pick up the one of another directory. */
export const viteConfig = {
  configFile: false,
  root: import.meta.dirname,
  logLevel: 'warn',
  // Absolute paths, so that assets load at every depth of view paths.
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
 * Builds the console into `console/dist`, unless a build of the current sources is there. Several processes may build at the same
 * time: each uses its own folder, and the last one wins.
 *
 * @returns whether it had to be built. Rejects when the sources cannot be built, or Vite is not installed.
 */
export async function buildConsole(): Promise<boolean> {
  const stamp = stampOf(sources.map((path) => join(root, path)));
  if (currentStamp() === stamp) return false;
  const { build } = await import('vite');
  mkdirSync(buildRoot, { recursive: true });
  const buildDir = mkdtempSync(join(buildRoot, 'console-'));
  try {
    const freshDist = join(buildDir, 'dist');
    const result = await build({
      ...viteConfig,
      build: { ...viteConfig.build, outDir: freshDist, emptyOutDir: false },
    });
    writeFileSync(join(freshDist, packagesName), packagesIn(result).join('\n'));
    writeFileSync(join(freshDist, stampName), stamp);
    replaceWith(freshDist);
  } finally {
    rmSync(buildDir, { recursive: true, force: true });
  }
  return true;
}

/** Returns the folders of the packages that the built console contains, for their licenses. */
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

function currentStamp(): string | undefined {
  const path = join(dist, stampName);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Hashes names and contents; modification times mean nothing after a checkout. */
function stampOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name));
    else hash.update(path.slice(root.length)).update('\0').update(readFileSync(path)).update('\0');
  };
  for (const path of paths) add(path);
  return hash.digest('hex');
}

function replaceWith(freshDist: string): void {
  try {
    // The old build is removed together with the build folder.
    if (existsSync(dist)) renameSync(dist, `${freshDist}-old`);
    renameSync(freshDist, dist);
  } catch (error) {
    // Another process has put the same build there.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error;
  }
}
