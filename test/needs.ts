import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { goPresent } from '../sandbox/kube-build.ts';

/** The folder of real-world input beside the checkout; only there where `needs('real-world')` is true. */
export const realWorldFolder = resolve(import.meta.dirname, '../../shared/real-world');

const kinds = {
  go: { present: goPresent, reason: 'no Go tool chain on PATH or in /usr/local/go/bin' },
  chromium: { present: () => chromiumPath() !== undefined, reason: 'no chromium on PATH' },
  promtool: {
    present: () => promtoolPath() !== undefined,
    reason: 'no promtool on PATH (Debian has it in prometheus)',
  },
  'real-world': { present: () => existsSync(realWorldFolder), reason: `no folder ${realWorldFolder}` },
} as const;

/** Whether this machine has what a test file needs; where it has not, a line tells that the tests were skipped and why. */
export function needs(kind: keyof typeof kinds): boolean {
  const { present, reason } = kinds[kind];
  const met = present();
  if (!met) process.stdout.write(`SKIP ${kind}: ${reason}\n`);
  return met;
}

/** The browser that tests of the console use, if there is one. */
export function chromiumPath(): string | undefined {
  return programPath(['chromium', 'chromium-browser', 'google-chrome']);
}

/** The tool that checks rules for Prometheus, if there is one. */
export function promtoolPath(): string | undefined {
  return programPath(['promtool']);
}

function programPath(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(runnable);
}

function runnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
