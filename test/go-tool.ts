import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, delimiter, join } from 'node:path';

/**
 * A program that is written in Go, in this version: built once on this machine, for minutes perhaps, and kept outside the
 * repository. Answers its path. Tests that ask for one need 'go'.
 */
export function goTool(pkg: string, version: string): string {
  const name = basename(pkg);
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'brokkr');
  const folder = join(cache, `${name}-${version}`);
  const path = join(folder, name);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const unfinished = mkdtempSync(join(folder, 'building-'));
  const began = Date.now();
  try {
    execFileSync('go', ['install', '-trimpath', '-ldflags', '-s -w', `${pkg}@${version}`], {
      // Without cgo no C compiler is needed, and compiled packages are shared with the API server's build.
      env: {
        ...process.env,
        CGO_ENABLED: '0',
        GOBIN: unfinished,
        PATH: `${process.env.PATH}${delimiter}/usr/local/go/bin`,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    // Whole or not at all: another test file may look for it at any time.
    renameSync(join(unfinished, name), path);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  process.stdout.write(`built ${name} ${version} in ${Math.round((Date.now() - began) / 1_000)} s\n`);
  return path;
}
