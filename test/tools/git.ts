import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** Runs git in this project. Returns its trimmed output, or undefined when it fails, is missing or prints nothing. */
export function git(...args: string[]): string | undefined {
  try {
    const output = execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return output.trim() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Writes the files of a commit below `folder`: all of them, or those at the given paths. Throws when git lacks the
 * commit.
 */
export function extractCommit(commit: string, folder: string, paths: readonly string[] = []): void {
  mkdirSync(folder, { recursive: true });
  const archive = execFileSync('git', ['archive', commit, ...paths], { cwd: root, maxBuffer: 256 << 20 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
}
