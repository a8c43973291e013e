import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { isGoInstalled } from '../../sandbox/apiserver/build.ts';
import { isChromiumInstalled } from '../../sandbox/chromium.ts';
import { hasLandedCommit, landedCommit } from '../compatibility/landed.ts';

/** The folder of real-world input beside the checkout; it exists only where `needs('real-world')` is true. */
export const realWorldFolder = resolve(import.meta.dirname, '../../../shared/real-world');

const kinds = {
  go: { present: isGoInstalled, reason: 'no Go tool chain on PATH or in /usr/local/go/bin' },
  python: { present: isPythonInstalled, reason: 'no python3 with venv on PATH' },
  chromium: { present: isChromiumInstalled, reason: 'no chromium on PATH, and none from npm for this platform' },
  'real-world': { present: () => existsSync(realWorldFolder), reason: `no folder ${realWorldFolder}` },
  landed: { present: hasLandedCommit, reason: `git does not have the landed commit ${landedCommit.slice(0, 12)} here` },
} as const;

/**
 * Reports whether this machine has what a test file needs. Otherwise prints a line with the reason why tests are
 * skipped.
 */
export function needs(kind: keyof typeof kinds): boolean {
  const { present, reason } = kinds[kind];
  const met = present();
  if (!met) process.stdout.write(`SKIP ${kind}: ${reason}\n`);
  return met;
}

function isPythonInstalled(): boolean {
  return spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0;
}
