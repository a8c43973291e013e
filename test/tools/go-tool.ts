import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { acquireLock, cacheRoot } from '../../sandbox/apiserver/build.ts';

/**
 * Builds a program written in Go, in this version, and returns its path. It is built once on this machine, which may
 * take minutes, and kept outside the repository; concurrent processes share one build. Requires `needs('go')`.
 */
export async function goTool(pkg: string, version: string): Promise<string> {
  const name = basename(pkg);
  const folder = join(cacheRoot(), `${name}-${version}`);
  const path = join(folder, name);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const release = await acquireLock(join(folder, 'lock'));
  const unfinished = mkdtempSync(join(folder, 'building-'));
  try {
    if (existsSync(path)) return path;
    const began = Date.now();
    await promisify(execFile)('go', ['install', '-trimpath', '-ldflags', '-s -w', `${pkg}@${version}`], {
      // Without cgo no C compiler is needed.
      env: {
        ...process.env,
        CGO_ENABLED: '0',
        GOBIN: unfinished,
        PATH: `${process.env.PATH}${delimiter}/usr/local/go/bin`,
      },
    });
    renameSync(join(unfinished, name), path);
    process.stdout.write(`built ${name} ${version} in ${Math.round((Date.now() - began) / 1_000)} s\n`);
    return path;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
    release();
  }
}
