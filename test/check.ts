/**
 * `npm run check`: checks everything about the sources that needs no test to run. All checks run; each prints one line,
 * and its output if it failed. `BROKKR_BREAKING_BASE` names another commit than the landed one to compare the contract
 * with.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { generatedPages } from '../docs/generate/main.ts';
import { contentFolder } from '../docs/pages.ts';
import { generate } from '../proto/gen.ts';
import { hasLandedCommit, landedCommit } from './compatibility/landed.ts';
import { extractCommit, git } from './tools/git.ts';

const root = resolve(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');

/** The outcome of a check: `wrong` explains a failure, `note` what could not be checked. */
interface Finding {
  readonly wrong?: string;
  readonly note?: string;
}

const checks: readonly (readonly [name: string, check: () => Promise<Finding>])[] = [
  ['types', () => runTool('tsc', '--noEmit')],
  ["console's types", () => runTool('tsc', '--noEmit', '--project', 'console')],
  ['lint and format', () => runTool('biome', 'ci', '--error-on-warnings', '--colors=off')],
  ['generated code', checkGeneratedCode],
  ['reference pages', checkReferencePages],
  ['contract lint', () => runTool('buf', 'lint')],
  ['contract format', () => runTool('buf', 'format', '--path', 'proto/brokkr', '--diff', '--exit-code')],
  ['contract compatible', checkCompatibility],
  ['layout', () => runTool('node', 'test/layout/layout.test.ts')],
];

/** Runs every check in turn. Returns true when all passed. */
async function runChecks(print: (line: string) => void): Promise<boolean> {
  let passed = true;
  for (const [name, check] of checks) {
    const began = Date.now();
    const { wrong, note } = await check().catch((error: Error): Finding => ({ wrong: error.message }));
    const seconds = ((Date.now() - began) / 1_000).toFixed(1);
    print(`${wrong === undefined ? 'ok  ' : 'FAIL'}  ${name.padEnd(20)}  ${seconds} s${note ? `  ${note}` : ''}`);
    if (wrong !== undefined) print(wrong.trimEnd().replace(/^/gm, '  | '));
    passed &&= wrong === undefined;
  }
  return passed;
}

/** Runs a tool of this project; its output counts only when it fails. */
async function runTool(name: string, ...args: string[]): Promise<Finding> {
  const command = name === 'node' ? process.execPath : join(bin, name);
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, NO_COLOR: '1', FORCE_COLOR: undefined },
  });
  const exited = new Promise<number | null>((settle, fail) => child.once('error', fail).once('exit', settle));
  const [code, out, errors] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
  return code === 0 ? {} : { wrong: `${out}${errors}` || `${name} exited with ${code}` };
}

/** Checks that gen/ is what the contract generates. */
async function checkGeneratedCode(): Promise<Finding> {
  const fresh = '.cache/check/gen';
  mkdirSync(join(root, '.cache/check'), { recursive: true });
  try {
    generate(fresh);
    const [expected, actual] = [readFiles(join(root, fresh)), readFiles(join(root, 'gen'))];
    const names = [...new Set([...expected.keys(), ...actual.keys()])].sort();
    const stale = names.filter((name) => expected.get(name) !== actual.get(name));
    if (stale.length === 0) return {};
    return { wrong: `not what proto/ generates (npm run gen):\n${stale.map((name) => `gen/${name}`).join('\n')}` };
  } finally {
    rmSync(join(root, fresh), { recursive: true, force: true });
  }
}

/** Checks that the reference pages are what the code generates. */
async function checkReferencePages(): Promise<Finding> {
  const pages = await generatedPages();
  const stale = [...pages]
    .filter(([path, text]) => readIfPresent(join(contentFolder, path)) !== text)
    .map(([path]) => path);
  if (stale.length === 0) return {};
  return {
    wrong: `not what the code makes (npm run docs:gen):\n${stale.map((path) => `docs/content/${path}`).join('\n')}`,
  };
}

function readIfPresent(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** Compares the contract with the landed one, whose agents and clients must continue to work. */
async function checkCompatibility(): Promise<Finding> {
  const base = process.env.BROKKR_BREAKING_BASE ?? landedCommit;
  if (base === landedCommit && !hasLandedCommit()) return { note: `not checked: git does not have ${base} here` };
  if (git('ls-tree', base, 'proto/') === undefined) return { note: `not checked: ${base} has no contract` };
  const before = mkdtempSync(join(tmpdir(), 'brokkr-contract-'));
  try {
    extractCommit(base, before, ['proto']);
    // An older commit does not contain what the contract imports.
    for (const path of ['buf.yaml', 'proto/buf', 'proto/google', 'proto/grpc'])
      cpSync(join(root, path), join(before, path), { recursive: true });
    return { ...(await runTool('buf', 'breaking', '--against', before)), note: `against ${base.slice(0, 12)}` };
  } finally {
    rmSync(before, { recursive: true, force: true });
  }
}

function readFiles(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    names.map((name) => [name.slice(folder.length + 1).replaceAll('\\', '/'), readFileSync(name, 'utf8')]),
  );
}

if (import.meta.main) process.exitCode = (await runChecks((line) => process.stdout.write(`${line}\n`))) ? 0 : 1;
