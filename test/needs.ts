import { goPresent } from '../sandbox/kube-build.ts';

const PRESENT = { go: goPresent } as const;
const REASON = { go: 'no Go tool chain on PATH or in /usr/local/go/bin' } as const;

/** Whether this machine has what a test file needs; where it has not, a line tells that the tests were skipped and why. */
export function needs(kind: keyof typeof PRESENT): boolean {
  const present = PRESENT[kind]();
  if (!present) process.stdout.write(`SKIP ${kind}: ${REASON[kind]}\n`);
  return present;
}
