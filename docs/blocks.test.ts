import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { createFullProgram } from '../cli/program.ts';
import manifest from '../package.json' with { type: 'json' };
import { readOptions as readStartOptions } from '../sandbox/start/options.ts';
import { type Block, parsePage, readPages } from './pages.ts';
import { commandsOf, exchangesOf } from './shell.ts';

const root = resolve(import.meta.dirname, '..');
const readme = parsePage('README.md', readFileSync(join(root, 'README.md'), 'utf8'));
const generatorReadme = parsePage(
  'examples/generator/README.md',
  readFileSync(join(root, 'examples/generator/README.md'), 'utf8'),
);
const found = [...readPages().values(), readme].flatMap((page) =>
  page.blocks.map((block) => ({ ...block, where: `${page.path}:${block.line}` })),
);
const brokerHelp = execFileSync(process.execPath, [join(root, 'broker/main.ts'), '--help'], { encoding: 'utf8' });

/** Third-party programs that the documents call. */
const foreign = new Set(
  'buf cat cd cp createdb curl cut docker dropdb echo export alias git go grep grpcurl head helm jq kubectl mkdir mv openssl pg_dump pg_restore printf promtool protoc psql python3 rm sed set sleep source systemctl tail umask unset venv/bin/pip venv/bin/python'.split(
    ' ',
  ),
);

const blocks = suite('code blocks of the documents');

/** Runs a check on every block of a language, and fails with all problems found. */
function each(language: string, check: (block: Block) => unknown): () => Promise<void> {
  return async () => {
    const chosen = found.filter((block) => block.language === language);
    assert.ok(chosen.length > 0, `there is no ${language} block`);
    const wrong: string[] = [];
    for (const block of chosen) {
      try {
        await check(block);
      } catch (error) {
        wrong.push(`${block.where}: ${(error as Error).message}`);
      }
    }
    assert.equal(wrong, []);
  };
}

blocks('are in a known language', () => {
  const known = ['console', 'go', 'json', 'mermaid', 'python', 'sh', 'sql', 'text', 'ts', 'yaml'];
  assert.equal(
    found.filter(({ language }) => !known.includes(language)).map(({ where, language }) => `${where}: ${language}`),
    [],
  );
});

blocks(
  'of YAML are valid',
  each('yaml', ({ text }) => {
    for (const document of parseAllDocuments(text)) {
      const [error] = document.errors;
      if (error) throw error;
    }
  }),
);

blocks(
  'of JSON are valid',
  each('json', ({ text }) => JSON.parse(text)),
);

blocks(
  'of TypeScript are valid',
  each('ts', ({ text }) => stripTypeScriptTypes(text)),
);

blocks(
  'of shell are valid, with existing commands and options',
  each('sh', ({ text }) => checkShell(text)),
);

blocks(
  'of a console have existing commands and options',
  each('console', async ({ text }) => {
    for (const { command } of exchangesOf(text)) await checkShell(command);
  }),
);

blocks('run TypeScript in a way that works with an older Node.js', () => {
  const direct = /\bnode (?!--import \.\/node-version\.js )[^`\n]*\.ts\b/;
  const texts = [...readPages().values(), readme, generatorReadme];
  assert.equal(
    texts.filter(({ text }) => direct.test(text)).map(({ path }) => path),
    [],
  );
});

blocks('with wrong commands are found', async () => {
  for (const wrong of [
    'brokkr fly',
    'brokkr get stacks --fast',
    'brokkr rebind',
    'brokkr update stack x --drift sideways',
    'brokkr-broker fly',
    'npm run fly',
    'npm run -s broker -- fly',
    'node broker/main.ts serve',
    'npm start -- --fly',
    'brokr get stacks',
    "echo 'open",
  ]) {
    const problem = await checkShell(wrong).then(
      () => undefined,
      (error: Error) => error,
    );
    assert.ok(problem, `no problem is found in: ${wrong}`);
  }
  await checkShell('export A=b\nkubectl get pods | BROKKR_PAK=x brokkr get stacks -o json > file # and so on');
});

async function checkShell(text: string): Promise<void> {
  execFileSync('bash', ['-n'], { input: text, stdio: ['pipe', 'ignore', 'pipe'] });
  for (const { words } of commandsOf(text)) await checkCommand(words);
}

async function checkCommand([name = '', ...args]: readonly string[]): Promise<void> {
  if (name === 'brokkr') return checkOwn(args);
  if (name === 'brokkr-broker') return checkBroker(args);
  if (name === 'npm') return checkNpm(args);
  if (!foreign.has(name)) throw new Error(`"${name}" is not a program that these documents use`);
}

/** Lets the CLI parse the arguments without running the command. */
async function checkOwn(args: readonly string[]): Promise<void> {
  const program = await createFullProgram();
  silence(program);
  await program.parseAsync(args, { from: 'user' });
}

function silence(command: Command): void {
  command.configureOutput({ writeErr: () => {}, writeOut: () => {} }).exitOverride();
  // A command that only groups others needs no action: commander itself reports a missing subcommand.
  if (command.commands.length === 0 || command.registeredArguments.length > 0) command.action(() => {});
  for (const inner of command.commands) silence(inner);
}

function checkBroker(args: readonly string[]): void {
  const [command = 'serve'] = args;
  const options = args.filter((word) => word.startsWith('--'));
  const unknown = [command, ...options].filter((word) => !new RegExp(`(^  |\\[)${word}\\b`, 'm').test(brokerHelp));
  if (unknown.length > 0) throw new Error(`brokkr-broker has no ${unknown.join(', ')}`);
}

function checkNpm(args: readonly string[]): void {
  const words = args.filter((word) => word !== '-s');
  const [command = '', script = ''] = words;
  if (command === 'run' && script === 'broker') checkBroker(afterDashes(words));
  else if (command === 'start') readStartOptions(afterDashes(words), {});
  else if (!['install', 'ci', 'test'].includes(command) && !(command === 'run' && script in manifest.scripts))
    throw new Error(`npm ${args.join(' ')} does not exist`);
}

function afterDashes(words: readonly string[]): string[] {
  const at = words.indexOf('--');
  return at === -1 ? [] : words.slice(at + 1);
}

blocks.run();
