import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { startTestBroker } from '../../../test/broker.ts';
import { runProgram } from '../../../test/tools/command.ts';

const access = suite('cli: keys and contexts');
const broker = await startTestBroker();
const { url: server, adminPak } = broker;
let home = '';
const file = () => join(home, 'brokkr', 'config.yaml');

access.before.each(() => {
  home = mkdtempSync(join(tmpdir(), 'brokkr-cli-'));
});
access.after.each(() => rmSync(home, { recursive: true, force: true }));
access.after(() => broker.close());

/** Runs the command with an empty home directory. */
const brokkr = (args: string, options: { stdin?: string; env?: Record<string, string> } = {}) =>
  runProgram('cli/main.ts', args.split(' '), {
    ...options,
    env: { XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, ...options.env },
  });

access('login saves a valid key, readable only by its owner, and shows its identity', async () => {
  const { code, stdout, stderr } = await brokkr(`login --server ${server} --pak-stdin`, { stdin: `${adminPak}\n` });
  assert.is(code, 0, stderr);
  assert.match(stdout, /^admin admin \(key ad\w+\) at http/);
  assert.not.match(stdout + stderr, adminPak);
  assert.is(statSync(file()).mode & 0o777, 0o600);
  assert.is(statSync(join(home, 'brokkr')).mode & 0o777, 0o700);
  assert.is((await brokkr('whoami')).code, 0);
});

access('login saves nothing for a rejected key', async () => {
  const last = adminPak.endsWith('a') ? 'b' : 'a';
  const { code, stderr } = await brokkr(`login --server ${server}`, { stdin: adminPak.slice(0, -1) + last });
  assert.is(code, 1);
  assert.match(stderr, /^error: the key is not valid\n {2}run: brokkr login/);
  assert.throws(() => statSync(file()));
});

access('login rejects input that is no key, without repeating it', async () => {
  const { code, stderr } = await brokkr(`login --server ${server}`, { stdin: 'two words' });
  assert.is(code, 1);
  assert.match(stderr, 'the input is not a key');
  assert.not.match(stderr, 'two words');
  assert.is((await brokkr(`login --server ${server}`)).code, 2, 'an empty key is a usage error');
});

access('a context is selected by option, by environment, or as the current one', async () => {
  const { admin } = broker.client();
  const { pak } = await admin.createGenerator({ name: 'chosen' });
  await brokkr(`login --server ${server} --context ours`, { stdin: adminPak });
  await brokkr(`login --server ${server} --context theirs`, { stdin: pak });
  assert.match((await brokkr('whoami')).stdout, /^generator chosen /);
  assert.match((await brokkr('whoami --context ours')).stdout, /^admin admin /);
  assert.match((await brokkr('whoami', { env: { BROKKR_CONTEXT: 'ours' } })).stdout, /^admin admin /);
  assert.is((await brokkr('context use ours')).code, 0);
  assert.match((await brokkr('whoami')).stdout, /^admin admin /);
  const listed = await brokkr('context list -o json');
  assert.equal(
    JSON.parse(listed.stdout).contexts.map(({ name, current }: { name: string; current: boolean }) => [name, current]),
    [
      ['ours', true],
      ['theirs', false],
    ],
  );
  assert.not.match(listed.stdout, pak);
  assert.is((await brokkr('context delete theirs')).code, 0);
  assert.is((await brokkr('whoami --context theirs')).code, 2);
});

access('the context of an option takes precedence over the environment', async () => {
  await brokkr(`login --server ${server} --context ours`, { stdin: adminPak });
  const env = { BROKKR_SERVER: 'http://127.0.0.1:9', BROKKR_PAK: 'brokkr_ge_none' };
  assert.match((await brokkr('whoami --context ours', { env })).stdout, /^admin admin /);
  assert.is((await brokkr('whoami', { env })).code, 1);
});

access('a saved key is sent only to its own server', async () => {
  await brokkr(`login --server ${server}`, { stdin: adminPak });
  const elsewhere = await brokkr('whoami --server http://127.0.0.1:9');
  assert.is(elsewhere.code, 1);
  assert.match(elsewhere.stderr, 'no key for http://127.0.0.1:9');
});

access('no key crosses a network unencrypted without consent', async () => {
  const env = { BROKKR_PAK: adminPak };
  const { code, stderr } = await brokkr('whoami --server http://192.0.2.1', { env });
  assert.is(code, 2);
  assert.match(stderr, '--insecure-cleartext');
  assert.is((await brokkr('login --server http://192.0.2.1', { stdin: adminPak })).code, 2);
});

access('without a key, the next step is shown', async () => {
  const { code, stderr } = await brokkr(`whoami --server ${server}`);
  assert.is(code, 1);
  assert.match(stderr, `run: brokkr login --server ${server}`);
});

access('an unreachable broker is reported in plain words', async () => {
  const { code, stderr } = await brokkr('whoami --server http://127.0.0.1:9', { env: { BROKKR_PAK: adminPak } });
  assert.is(code, 1);
  assert.match(stderr, /^error: the broker at http:\/\/127.0.0.1:\d+ cannot be reached: connection refused\n/);
});

access('a broken file of contexts is named, but its content is not shown', async () => {
  await brokkr(`login --server ${server}`, { stdin: adminPak });
  writeFileSync(file(), `contexts: { pak: ${adminPak}\n  : [`);
  const { code, stderr } = await brokkr('whoami');
  assert.is(code, 1);
  assert.match(stderr, `${file()} cannot be parsed`);
  assert.not.match(stderr, adminPak);
});

access('a file of contexts that others can read causes a warning', async () => {
  await brokkr(`login --server ${server}`, { stdin: adminPak });
  chmodSync(file(), 0o644);
  assert.match((await brokkr('whoami')).stderr, /warning: other users can read the keys/);
});

access('logout deletes the key and keeps the server', async () => {
  await brokkr(`login --server ${server} --context ours`, { stdin: adminPak });
  assert.is((await brokkr('logout')).code, 0);
  assert.equal(parse(readFileSync(file(), 'utf8')).contexts.ours, { server });
  assert.is((await brokkr('whoami')).code, 1);
  assert.is((await brokkr('logout --context none')).code, 1);
});

access('rotating the key in use replaces it in its context', async () => {
  const { admin } = broker.client();
  const { pak } = await admin.createAdminPak({ name: 'turning' });
  await brokkr(`login --server ${server} --context ours`, { stdin: pak });
  const { code, stdout, stderr } = await brokkr('rotate self --now');
  assert.is(code, 0, stderr);
  assert.match(stdout, /^brokkr_ad\w+_\w+\n$/, 'standard output contains only the new key');
  assert.is(parse(readFileSync(file(), 'utf8')).contexts.ours.pak, stdout.trim());
  assert.match((await brokkr('whoami')).stdout, /^admin turning /);
  assert.is(
    (await brokkr(`whoami --server ${server}`, { env: { BROKKR_PAK: pak } })).code,
    1,
    'the old key is revoked',
  );
});

access('whoami prints each format', async () => {
  const env = { BROKKR_SERVER: server, BROKKR_PAK: adminPak };
  assert.is(JSON.parse((await brokkr('whoami -o json', { env })).stdout).role, 'ROLE_ADMIN');
  assert.is(parse((await brokkr('whoami -o yaml', { env })).stdout).name, 'admin');
  assert.is((await brokkr('whoami -o name', { env })).stdout, 'admin\n');
});

access.run();
