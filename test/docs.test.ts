// time limit: 10 min
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { variables as agentVariables, readConfig as readAgentConfig } from '../agent/config.ts';
import { variables as brokerVariables, readConfig as readBrokerConfig } from '../broker/config.ts';
import { traceVariables } from '../client/trace.ts';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import manifest from '../package.json' with { type: 'json' };
import { help as startHelp } from '../sandbox/start/options.ts';
import { keyIn, npmStarts } from './tools/npm-start.ts';

const root = resolve(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
/** The user's PATH: without the programs that npm installed. */
const ownPath = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !folder.endsWith('node_modules/.bin'))
  .join(delimiter);
const starts = npmStarts();
const docs = suite('docs');
docs.after.each(starts.end);
docs.after(starts.close);

/** Returns the text below a heading, up to the next one of the same or a higher level. */
function section(heading: string): string {
  const start = readme.indexOf(`\n${heading}\n`);
  assert.is.not(start, -1, `README.md has no "${heading}"`);
  const [level = ''] = heading.split(' ');
  const body = readme.slice(start + heading.length + 2);
  const end = body.search(new RegExp(`^#{1,${level.length}} `, 'm'));
  return end === -1 ? body : body.slice(0, end);
}

/** Returns the rows of a section's table: the names in the first cell, and the second cell. */
function rows(heading: string): { names: string[]; text: string }[] {
  const lines = [...section(heading).matchAll(/^\| (`.*?) \| (.*) \|$/gm)];
  return lines.map(([, first = '', text = '']) => ({ names: quoted(first), text }));
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, name = '']) => name);
}

/** Returns the default that a text states, without Markdown. */
function defaultIn(text: string): string | undefined {
  return /\(default:? ([^)]*)\)/.exec(text.replaceAll('`', ''))?.[1];
}

for (const [program, variables] of [
  ['broker', brokerVariables],
  ['agent', agentVariables],
] as const) {
  docs(`the README names the variables of the ${program}, no others, with their defaults`, () => {
    const told = rows(`### Environment of the ${program}`);
    assert.equal(told.flatMap(({ names }) => names).sort(), Object.keys(variables).sort());
    for (const { names, text } of told) {
      const [name = ''] = names;
      const known = variables[name as keyof typeof variables] as string;
      if (names.length === 1 && defaultIn(text) !== undefined) assert.is(defaultIn(text), defaultIn(known), name);
      if (text.includes('(required)')) assert.match(known, '(required)');
    }
  });
}

docs('the README names the OpenTelemetry variables that are read, with their defaults', () => {
  const told = rows('## Signals');
  assert.equal(told.flatMap(({ names }) => names[0] ?? []).sort(), Object.keys(traceVariables).sort());
  for (const { names, text } of told)
    assert.is(defaultIn(text), defaultIn(traceVariables[names[0] as keyof typeof traceVariables]), names[0]);
});

docs('the README names only variables that the programs read', () => {
  const cli = readdirSync(join(root, 'cli'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .flatMap((name) => readFileSync(join(root, 'cli', name), 'utf8').match(/(?<=env\.)BROKKR_\w+/g) ?? []);
  const known = new Set([...cli, ...Object.keys(brokerVariables), ...Object.keys(agentVariables)]);
  const named = new Set(readme.match(/\bBROKKR_[A-Z_]+\b/g));
  assert.equal(
    [...named].filter((name) => !known.has(name)),
    [],
  );
  assert.equal(
    cli.filter((name) => !named.has(name)),
    [],
    'the CLI reads what the README does not name',
  );
});

docs('the README names the default ports', () => {
  const broker = readBrokerConfig({ BROKKR_DATABASE_URL: 'postgres://localhost/brokkr' });
  const agent = readAgentConfig({ BROKKR_BROKER_URL: 'https://localhost', BROKKR_PAK: 'brokkr_agA_B' });
  const text = section('## Running it for real').replaceAll('\n', ' ');
  assert.match(text, `The broker listens on ${broker.listen.port} `);
  assert.match(text, `on ${broker.metricsListen.port} (\`/metrics\`)`);
  assert.match(text, `The agent listens on ${agent.healthListen.port} `);
  assert.match(startHelp, 'default 3000');
});

docs('the README names existing npm scripts', () => {
  const named = [...readme.matchAll(/\bnpm run (?:-s )?([\w-]+)/g)].map(([, name = '']) => name);
  assert.ok(named.length > 0);
  assert.equal(
    named.filter((name) => !(name in manifest.scripts)),
    [],
  );
});

docs('the README names options that npm start has', () => {
  const named = section('## Two commands').match(/--[a-z-]+/g) ?? [];
  assert.ok(named.length > 0);
  for (const option of named) assert.match(startHelp, new RegExp(`^ +${option}\\b`, 'm'));
});

docs('the README names RPCs that are declared', () => {
  const known = new Set(
    [BrokerService, AgentService, AdminService].flatMap(({ typeName, methods }) =>
      methods.map(({ name }) => `${typeName}/${name}`),
    ),
  );
  const named = readme.match(/\bbrokkr\.v1\.\w+\/\w+/g) ?? [];
  assert.ok(named.length > 0);
  assert.equal(
    named.filter((name) => !known.has(name)),
    [],
  );
});

docs('the README names existing files and folders', () => {
  const told = rows('## Where things are').flatMap(({ names }) => names);
  const kept = new Set(['.brokkr/']);
  const paths = quoted(readme).filter((name) => /^\.?\w[\w.-]*\/[\w./-]*$/.test(name) && !kept.has(name));
  assert.ok(told.length > 0);
  for (const path of new Set([...told, ...paths])) assert.ok(existsSync(join(root, path)), `${path} is not there`);
});

docs('the commands of the README’s tour work as written', async () => {
  const [, block = ''] = /```sh\n([\s\S]*?)```/.exec(section('## A tour of five minutes')) ?? [];
  const commands = block.split('\n').filter((line) => !/^(export|alias) /.test(line));
  assert.ok(commands.length > 5);
  const text = await starts.start('--port', '0', '--data-dir', join(starts.folder, 'tour')).ready();
  const [, server = ''] = /Broker +(\S+)/.exec(text) ?? [];
  const { HOME } = process.env;
  const env = { PATH: ownPath, HOME, XDG_CONFIG_HOME: starts.folder, BROKKR_SERVER: server, BROKKR_PAK: keyIn(text) };
  const [, alias = ''] = /^alias brokkr="(.*?)"/m.exec(block) ?? [];
  // The tour's alias as a function, which also works in a non-interactive shell and in a folder below.
  const brokkr = `brokkr() { ${alias.replace('$PWD', root)} "$@"; }`;
  const script = [brokkr, 'set -e', ...commands, 'brokkr apply -f . --stack web --dry-run'].join('\n');
  const cwd = join(root, 'examples/web');
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { cwd, env, timeout: 300_000 });
  assert.match(stdout, 'local-1');
  assert.match(stdout, 'nothing would change');
});

docs('the commands of an operator run with the machine’s own Node', async () => {
  for (const command of ['npm run -s broker --', 'node --import ./node-version.js broker/main.ts']) {
    const env = { PATH: ownPath, HOME: process.env.HOME };
    const { stdout } = await promisify(execFile)('sh', ['-c', `${command} --help`], {
      cwd: root,
      env,
      timeout: 60_000,
    });
    assert.match(stdout, /^Usage: brokkr-broker/);
  }
});

docs.run();
