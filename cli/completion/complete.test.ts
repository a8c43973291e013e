import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { waitForOutput } from '../../test/tools/command.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const cli = testCli(test);
const complete = suite('cli: completion and output of lists');
complete.after(async () => {
  cli.close();
  await test.close();
});

await admin.createGenerator({ name: 'shop' });
await admin.createAgent({ name: 'edge-1' });
await admin.createAgent({ name: 'edge-2' });
await broker.createStack({ name: 'web' });
await broker.createStack({ name: 'twice' });
await broker.createStack({ name: 'twice', generator: 'shop' });

const next = async (...words: string[]) => (await cli.done(['__complete', '--', ...words])).split('\n').slice(0, -1);

complete('offers commands, nouns and options', async () => {
  assert.equal(await next('confirm'), ['confirm-removal']);
  assert.equal(await next('get', 'sta'), ['stacks']);
  assert.equal(await next('-o', 'json', 'agent', ''), ['status']);
  assert.equal(await next('get', 'agents', '--show'), ['--show-deleted']);
  assert.equal(await next('get', 'stacks', '-o', 'ya'), ['yaml']);
  assert.equal(await next('completion', ''), []);
});

complete('offers the names of existing resources', async () => {
  assert.equal(await next('get', 'stacks', ''), ['shop/twice', 'system/twice', 'web']);
  assert.equal(await next('explain', 'web', 'e'), ['edge-1', 'edge-2']);
  assert.equal(await next('delete', 'agent', 'edge-2'), ['edge-2']);
  assert.equal(await next('get', 'events', '--agent', ''), ['edge-1', 'edge-2']);
  assert.equal(await next('describe', 'generator', 's'), ['shop', 'system']);
  assert.equal(await next('agent', 'status', '--wait', 'edge'), ['edge-1', 'edge-2']);
  await admin.createAgent({ name: 'edge-3' });
  assert.equal(await next('pause', 'edge-3'), ['edge-3']);
});

complete('offers no names for new resources, and prints no error', async () => {
  assert.equal(await next('create', 'agent', ''), []);
  assert.equal(await next('install', 'agent', ''), []);
  const { code, stdout } = await cli.run(['__complete', '--', 'get', 'stacks', ''], {
    env: { BROKKR_SERVER: 'http://127.0.0.1:9', BROKKR_PAK: test.adminPak },
  });
  assert.equal([code, stdout], [0, '']);
});

complete('works in a real bash', async () => {
  const folder = join(cli.folder, 'bin');
  mkdirSync(folder);
  const program = join(folder, 'brokkr');
  const main = resolve(import.meta.dirname, '../main.ts');
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  chmodSync(program, 0o755);
  const script = `source <(brokkr completion bash)
    COMP_WORDS=(brokkr explain web edge-); COMP_CWORD=3; _brokkr; echo "\${COMPREPLY[@]}"
    complete -p brokkr`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script], {
    env: {
      PATH: `${folder}:${process.env.PATH}`,
      XDG_CONFIG_HOME: cli.folder,
      XDG_CACHE_HOME: cli.folder,
      BROKKR_SERVER: test.url,
      BROKKR_PAK: test.adminPak,
    },
    timeout: 60_000,
  });
  assert.match(stdout, /^edge-1 edge-2 edge-3\ncomplete -o default -F _brokkr brokkr/);
});

complete('has a script for each shell', async () => {
  for (const shell of ['bash', 'zsh', 'fish'])
    assert.match(await cli.done(`completion ${shell}`), 'brokkr __complete -- ');
  assert.match((await cli.run('completion tcsh')).stderr, 'Allowed choices are bash, zsh, fish');
});

complete('-o jsonpath selects values', async () => {
  assert.is(await cli.done(['get', 'agents', '-o', 'jsonpath={.agents[*].name}']), 'edge-1 edge-2 edge-3\n');
  const lines = await cli.done(['get', 'stacks', '-o', 'jsonpath={range .stacks[*]}{.name}{"\\n"}{end}']);
  assert.is(lines, 'twice\ntwice\nweb\n');
  assert.match(await cli.fails(2, 'get agents -o jsonpath={range'), 'is not a template');
  assert.match((await cli.run('get agents -o nonsense')).stderr, 'Allowed choices are');
});

complete('get --watch prints a list again when it changes', async () => {
  const stop = new AbortController();
  const first = waitForOutput('edge-1');
  const second = waitForOutput('later');
  const watching = cli.run('get agents -w -o name', {
    signal: stop.signal,
    onOutput: (said) => {
      first.onOutput(said);
      second.onOutput(said);
    },
  });
  await first.found;
  await admin.createAgent({ name: 'later' });
  await second.found;
  stop.abort();
  assert.match((await watching).stdout, /^edge-1\nedge-2\nedge-3\nedge-1\nedge-2\nedge-3\nlater\n/);
});

complete("config accepts kubectl's verbs", async () => {
  await cli.done('login --context here', { stdin: test.adminPak });
  assert.match(await cli.done('config get-contexts'), 'here');
  await cli.done('config use-context here');
  assert.equal(await next('config', 'use-context', ''), ['here']);
});

complete.run();
