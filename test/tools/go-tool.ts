import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { acquireLock, cacheRoot } from '../../sandbox/apiserver/build.ts';

const goPath = () => `${process.env.PATH}${delimiter}/usr/local/go/bin`;

/**
 * Builds a program that is written in Go, in this version, once on this machine, which takes minutes perhaps, and keeps it outside the
 * repository. Answers its path. Several processes that ask share one build. For tests that need 'go'.
 */
export async function goTool(pkg: string, version: string): Promise<string> {
  const args = ['install', '-trimpath', '-ldflags', '-s -w', `${pkg}@${version}`];
  return build(basename(pkg), version, (folder) =>
    promisify(execFile)('go', args, {
      // Without cgo no C compiler is needed.
      env: { ...process.env, CGO_ENABLED: '0', GOBIN: folder, PATH: goPath() },
    }),
  );
}

/** Builds the Go module of a folder of this repository, as `goTool` builds a published one; built again when a file of it changes. */
export async function localGoTool(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of readdirSync(folder).sort()) hash.update(file).update(readFileSync(join(folder, file)));
  const name = basename(folder);
  return build(name, hash.digest('hex').slice(0, 12), (to) =>
    promisify(execFile)('go', ['build', '-trimpath', '-o', join(to, name), '.'], {
      cwd: folder,
      env: { ...process.env, CGO_ENABLED: '0', PATH: goPath() },
    }),
  );
}

async function build(name: string, version: string, run: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(cacheRoot(), `${name}-${version}`);
  const path = join(folder, name);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const release = await acquireLock(join(folder, 'lock'));
  const unfinished = mkdtempSync(join(folder, 'building-'));
  try {
    if (existsSync(path)) return path;
    const began = Date.now();
    await run(unfinished);
    renameSync(join(unfinished, name), path);
    process.stdout.write(`built ${name} ${version} in ${Math.round((Date.now() - began) / 1_000)} s\n`);
    return path;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
    release();
  }
}
