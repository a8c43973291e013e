// time limit: 15 min
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFullProgram } from '../cli/program.ts';
import { keyIn, npmStarts } from '../test/tools/npm-start.ts';
import { type Page, readPages } from './pages.ts';
import { commandsOf, type Exchange, exchangesOf } from './shell.ts';

const root = resolve(import.meta.dirname, '..');
const starts = npmStarts();
const tutorials = suite('tutorials');
tutorials.after.each(starts.end);
tutorials.after(starts.close);

const typedPages = [...readPages().values()].filter((page) => typedOn(page).length > 0);

/** Returns the commands of a page with the output that it shows. */
function typedOn({ blocks }: Page): Exchange[] {
  return blocks.filter(({ language }) => language === 'console').flatMap(({ text }) => exchangesOf(text));
}

/** Runs all commands in one shell and returns the output of each, of both streams. Rejects when one of them fails. */
async function typed(commands: readonly string[], server: string, pak: string, folder: string): Promise<string[]> {
  const mark = '=== shown by the next command ===';
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, XDG_CONFIG_HOME: folder, NO_COLOR: '1', BROKKR_SERVER: server, BROKKR_PAK: pak };
  const script = [
    'exec 2>&1',
    'set -e',
    `brokkr() { node ${join(root, 'cli/main.ts')} "$@"; }`,
    ...commands.flatMap((command) => [`echo '${mark}'`, command]),
  ].join('\n');
  const shell = promisify(execFile)('sh', ['-c', script], { cwd: folder, env, timeout: 300_000, maxBuffer: 16 << 20 });
  const { stdout } = await shell.catch((error: { stdout?: string; message: string }) => {
    throw new Error(`a command failed:\n${error.stdout?.slice(-2_000) ?? error.message}`);
  });
  return stdout.split(`${mark}\n`).slice(1);
}

/** Compiles shown output to a pattern: `…` is any text, alone on a line any lines; the width of gaps does not matter. */
function pattern(shown: readonly string[]): RegExp {
  const escaped = shown.map((line) =>
    line.trim() === '…'
      ? '(?:.*\\n)*?'
      : `${line
          .trim()
          .split(/\s+/)
          .map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*'))
          .join('\\s+')}[^\\S\\n]*\\n`,
  );
  return new RegExp(`^\\s*${escaped.join('\\s*')}\\s*$`);
}

for (const page of typedPages) {
  tutorials(`the commands of ${page.path} print what it shows`, async () => {
    const name = page.path.replaceAll('/', '-');
    const text = await starts.start('--port', '0', '--data-dir', join(starts.folder, name, 'data')).ready();
    const [, server = ''] = /Broker +(\S+)/.exec(text) ?? [];
    const folder = join(starts.folder, name, 'work');
    mkdirSync(folder, { recursive: true });
    const exchanges = typedOn(page);
    const outputs = await typed(
      exchanges.map(({ command }) => command),
      server,
      keyIn(text) ?? '',
      folder,
    );
    assert.is(outputs.length, exchanges.length);
    const other = exchanges.flatMap(({ command, shown }, at) =>
      pattern(shown).test(outputs[at] ?? '') ? [] : [`$ ${command}\n${outputs[at]}`],
    );
    assert.is(other.join('\n'), '', 'the output differs from that on the page');
  });
}

tutorials('show every command of the CLI that ends by itself', async () => {
  const commands = typedPages.flatMap((page) => typedOn(page).flatMap(({ command }) => commandsOf(command)));
  const seen = commands.filter(({ words }) => words.includes('brokkr')).map(({ words }) => words.join(' '));
  const missing = commandNames(await createFullProgram())
    .filter((name) => !name.startsWith('brokkr watch'))
    .filter((name) => !seen.some((text) => `${text} `.includes(`${name} `)));
  assert.equal(missing, []);
});

function commandNames(command: Command, before = ''): string[] {
  const name = `${before}${command.name()}`;
  return command.commands.length === 0 ? [name] : command.commands.flatMap((inner) => commandNames(inner, `${name} `));
}

tutorials('are compared by a pattern that distinguishes texts', () => {
  assert.match('a  b 17 c\n', pattern(['a b … c']));
  assert.match('one\ntwo\nthree\n', pattern(['one', '…', 'three']));
  assert.match('one\n', pattern(['one', '…']));
  assert.not.match('one\ntwo\n', pattern(['one']));
  assert.not.match('one\n', pattern(['two']));
  assert.not.match('one\n', pattern([]));
});

tutorials.run();
