import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import manifest from '../package.json' with { type: 'json' };
import { runProgram } from '../test/tools/command.ts';

const program = suite('cli: the command itself');
const nowhere = { XDG_CONFIG_HOME: '/nonexistent', XDG_CACHE_HOME: '/nonexistent' };
const brokkr = (...args: string[]) => runProgram('cli/main.ts', args, { env: nowhere });

program('help lists every command, and each command has help', async () => {
  const { code, stdout, stderr } = await brokkr('--help');
  assert.equal([code, stderr], [0, '']);
  const verbs = [...stdout.matchAll(/^ {2}([a-z][a-z-]+)(?:\|[a-z]+)? {2,}[a-z]/gm)].map(([, verb]) => verb!);
  assert.ok(verbs.includes('apply') && verbs.includes('confirm-removal'));
  for (const verb of verbs) {
    const help = await brokkr('help', verb);
    assert.is(help.code, 0, help.stderr);
    assert.match(help.stdout, `Usage: brokkr ${verb}`);
    // Only the noun's module defines these, so it was loaded.
    const own = help.stdout.replace(/^Global Options:\n( .*\n)+/m, '');
    if (!['logout', 'status', 'whoami'].includes(verb))
      assert.match(own, /^(Arguments|Commands):|^ {2}(-\w, )?--(?!help)|^Usage:.* </m, verb);
  }
});

program('an invalid call exits with 2 and prints a hint to standard error', async () => {
  for (const args of [
    [],
    ['get'],
    ['aply'],
    ['get', 'stack', '--nonsense'],
    ['explain', 'one'],
    ['rebind', 'a', 'b'],
  ]) {
    const { code, stdout, stderr } = await brokkr(...args);
    assert.equal([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, /--help/);
  }
  assert.match((await brokkr('aply')).stderr, 'Did you mean apply?');
  for (const args of [
    ['help', 'nosuch'],
    ['nosuch', '--help'],
    ['get', 'nosuch', '--help'],
    ['help', 'get', 'nosuch'],
  ]) {
    const { code, stdout, stderr } = await brokkr(...args);
    assert.equal([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, "unknown command 'nosuch'");
  }
});

program('prints its version', async () => {
  for (const words of ['--version', '-V', 'version'])
    assert.equal(await brokkr(words), { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
});

program('colours and escape sequences are only for terminals', async () => {
  const { stdout } = await runProgram('cli/main.ts', ['context', 'list'], {
    env: { ...nowhere, CI: 'true', FORCE_COLOR: '1' },
  });
  assert.not.match(stdout, '\u001b');
});

program('every RPC of an admin or a generator has a command', () => {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).map((name) =>
    join(import.meta.dirname, name),
  );
  const code = files
    .filter((file) => /(?<!\.test)\.ts$/.test(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const missing = [
    ...BrokerService.methods.filter(({ localName }) => !code.includes(`broker.${localName}(`)),
    ...AdminService.methods.filter(({ localName }) => !code.includes(`admin.${localName}(`)),
  ];
  assert.equal(
    missing.map(({ name }) => name),
    [],
  );
});

program.run();
