/** Makes gen/ from proto/ (`npm run gen`), which contains everything that it imports. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');

/** Runs buf as this project pins it. Throws when it exits with an error; its output goes to the terminal. */
export function buf(...args: string[]): void {
  const bin = path.join(root, 'node_modules/.bin');
  execFileSync(path.join(bin, 'buf'), args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` },
  });
}

/** Generates everything into `out`, which is emptied first. */
export function generate(out: string): void {
  rmSync(path.join(root, out), { recursive: true, force: true });
  buf('generate', '--output', path.dirname(path.join(root, out)));
}

if (import.meta.main) generate('gen');
