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
import { readPages } from '../docs/pages.ts';
import { tableBelow } from '../docs/tables.ts';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import manifest from '../package.json' with { type: 'json' };
import { help as startHelp } from '../sandbox/start/options.ts';
import { keyIn, npmStarts } from './tools/npm-start.ts';

const root = resolve(import.meta.dirname, '..');
const pages = readPages();
const readme = readFileSync(join(root, 'README.md'), 'utf8');
/** The README and every page of the documents, by path. */
const texts = new Map([['README.md', readme], ...[...pages].map(([path, { text }]) => [path, text] as const)]);
const allText = [...texts.values()].join('\n');
/** PATH of a user's shell, without the folder that npm adds for its packages. */
const ownPath = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !folder.endsWith('node_modules/.bin'))
  .join(delimiter);
const starts = npmStarts();
const docs = suite('docs');
docs.after.each(starts.end);
docs.after(starts.close);

function textOf(path: string): string {
  const text = texts.get(path);
  if (text === undefined) throw new Error(`there is no page ${path}`);
  return text;
}

/** Returns the text below a heading, up to the next one of the same or a higher level. */
function section(text: string, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`);
  assert.is.not(start, -1, `there is no heading "${heading}"`);
  const [level = ''] = heading.split(' ');
  const body = text.slice(start + heading.length + 2);
  const end = body.search(new RegExp(`^#{1,${level.length}} `, 'm'));
  return end === -1 ? body : body.slice(0, end);
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, name = '']) => name);
}

/** Returns the default that a variable's description states, or that it is required; '' for neither. */
function defaultIn(description: string): string {
  const [, fallback, required] = /\((?:default:? ([^()]*)|(required[^()]*))\)$/.exec(description) ?? [];
  return fallback ?? required ?? '';
}

/** Asserts that a table of the configuration page lists exactly these variables, with their defaults. */
function assertVariables(heading: string, variables: Readonly<Record<string, string>>): void {
  const rows = tableBelow(textOf('reference/configuration.md'), heading);
  assert.equal(rows.map(({ variable }) => variable).sort(), Object.keys(variables).sort());
  for (const { variable = '', default: fallback } of rows)
    assert.is(fallback, defaultIn(variables[variable] ?? ''), variable);
}

for (const [program, variables] of [
  ['broker', brokerVariables],
  ['agent', agentVariables],
] as const) {
  docs(`the documents list the variables of the ${program}, no others, with their defaults`, () => {
    assertVariables(`## The ${program}`, variables);
  });
}

docs('the documents list the supported variables of OpenTelemetry, with their defaults', () => {
  assertVariables('## Traces', traceVariables);
});

docs('the documents name only variables that the programs read', () => {
  const cli = readdirSync(join(root, 'cli'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .flatMap((name) => readFileSync(join(root, 'cli', name), 'utf8').match(/(?<=env\.)BROKKR_\w+/g) ?? []);
  const known = new Set([...cli, ...Object.keys(brokerVariables), ...Object.keys(agentVariables)]);
  const named = new Set(allText.match(/\bBROKKR_[A-Z_]+\b/g));
  assert.equal(
    [...named].filter((name) => !known.has(name)),
    [],
  );
  assert.equal(
    cli.filter((name) => !named.has(name)),
    [],
    'the CLI reads variables that no document names',
  );
});

docs('the documents name the default ports', () => {
  const broker = readBrokerConfig({ BROKKR_DATABASE_URL: 'postgres://localhost/brokkr' });
  const agent = readAgentConfig({ BROKKR_BROKER_URL: 'https://localhost', BROKKR_PAK: 'brokkr_agA_B' });
  const brokerText = textOf('how-to/deploy-a-broker.md').replaceAll('\n', ' ');
  assert.match(brokerText, `The broker listens on ${broker.listen.port} `);
  assert.match(brokerText, `on ${broker.metricsListen.port} (\`/metrics\`)`);
  assert.match(
    textOf('how-to/deploy-an-agent.md').replaceAll('\n', ' '),
    `The agent listens on ${agent.healthListen.port} `,
  );
  assert.match(startHelp, 'default 3000');
});

docs('the documents name npm scripts that exist', () => {
  const named = [...allText.matchAll(/\bnpm run (?:-s )?([\w-]+)/g)].map(([, name = '']) => name);
  assert.ok(named.length > 0);
  assert.equal(
    named.filter((name) => !(name in manifest.scripts)),
    [],
  );
});

docs('the README names options that npm start has', () => {
  const named = section(readme, '## Two commands').match(/--[a-z-]+/g) ?? [];
  assert.ok(named.length > 0);
  for (const option of named) assert.match(startHelp, new RegExp(`^ +${option}\\b`, 'm'));
});

docs('the documents name RPCs that are declared', () => {
  const known = new Set(
    [BrokerService, AgentService, AdminService].flatMap(({ typeName, methods }) =>
      methods.map(({ name }) => `${typeName}/${name}`),
    ),
  );
  const named = textOf('reference/calling-the-api.md').match(/\bbrokkr\.v1\.\w+\/\w+/g) ?? [];
  assert.ok(named.length > 0);
  const everywhere = allText.match(/\bbrokkr\.v1\.\w+Service\/\w+/g) ?? [];
  assert.equal(
    [...named, ...everywhere].filter((name) => !known.has(name)),
    [],
  );
});

docs('the README names files and folders that exist', () => {
  const created = new Set(['.brokkr/']);
  const paths = quoted(readme).filter((name) => /^\.?\w[\w.-]*\/[\w./-]*$/.test(name) && !created.has(name));
  const links = [...readme.matchAll(/\]\(([^)#]+)/g)].map(([, link = '']) => link);
  assert.ok(links.length > 0);
  for (const path of new Set([...links, ...paths])) assert.ok(existsSync(join(root, path)), `${path} does not exist`);
});

docs('the first screen of the README has its purpose, a picture and the two commands', () => {
  const lines = readme.split('\n');
  assert.ok(lines.length < 110, `${lines.length} lines`);
  const screen = lines.slice(0, 45).join('\n');
  assert.match(screen, 'Brokkr is ');
  assert.match(screen, '```mermaid');
  assert.match(screen, 'npm install && npm start');
  assert.match(screen, 'npm install && npm test');
});

docs('the commands of the tour work as they are printed', async () => {
  const [, block = ''] = /```sh\n([\s\S]*?)```/.exec(textOf('tutorials/tour.md')) ?? [];
  const commands = block.split('\n').filter((line) => !/^(export|alias) /.test(line));
  assert.ok(commands.length > 5);
  const text = await starts.start('--port', '0', '--data-dir', join(starts.folder, 'tour')).ready();
  const [, server = ''] = /Broker +(\S+)/.exec(text) ?? [];
  const { HOME } = process.env;
  const env = { PATH: ownPath, HOME, XDG_CONFIG_HOME: starts.folder, BROKKR_SERVER: server, BROKKR_PAK: keyIn(text) };
  const [, alias = ''] = /^alias brokkr="(.*?)"/m.exec(block) ?? [];
  // The alias of the tour as a function for a non-interactive shell, used in a folder below.
  const brokkr = `brokkr() { ${alias.replace('$PWD', root)} "$@"; }`;
  const script = [brokkr, 'set -e', ...commands, 'brokkr apply -f . --stack web --dry-run'].join('\n');
  const cwd = join(root, 'examples/web');
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { cwd, env, timeout: 300_000 });
  assert.match(stdout, 'local-1');
  assert.match(stdout, 'nothing would change');
});

docs('the operator’s commands run with the Node.js that is installed', async () => {
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
