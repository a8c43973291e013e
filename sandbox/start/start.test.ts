// time limit: 10 min
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BrokkrClient, connectBroker } from '../../client/client.ts';
import { eventually } from '../../test/broker.ts';
import { assertNothingLeft, keyIn, npmStarts } from '../../test/tools/npm-start.ts';
import { processesLeft } from '../../test/tools/processes.ts';
import { freePorts } from '../apiserver/process.ts';

const root = resolve(import.meta.dirname, '../..');
const starts = npmStarts();
const place = starts.folder;
const npmStart = starts.start;
const [port = 0] = await freePorts(1);
const local = `http://127.0.0.1:${port}`;
const READY_MS = 60_000;

async function asAdmin<T>(
  url: string,
  pak: string | undefined,
  work: (client: BrokkrClient) => Promise<T>,
): Promise<T> {
  const client = connectBroker({ url, pak });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const starting = suite('npm start');
starting.after.each(starts.end);
starting.after(starts.close);

const first = join(place, 'first');
let pak: string | undefined;

starting('starts everything and prints a summary', async () => {
  const start = npmStart('--port', String(port), '--data-dir', first);
  const text = await start.ready();
  pak = keyIn(text);
  assert.ok(pak, text);
  assert.match(text, local);
  assert.match(text, /system\/web +revision 1 +applied +on local-1/);
  for (const command of ['cli --', 'grpcurl -plaintext', 'curl -s']) assert.match(text, command);
  const [, metrics = ''] = /Metrics +(\S+)/.exec(text) ?? [];
  const [, health = ''] = /Agent local-1 +(\S+)/.exec(text) ?? [];
  assert.is((await fetch(metrics)).status, 200);
  assert.is((await fetch(new URL('/readyz', health))).status, 200);
  assert.is((await fetch(`${local}/readyz`)).status, 200);
  await asAdmin(local, pak, async ({ broker, admin }) => {
    assert.is((await broker.whoAmI({})).name, 'admin');
    assert.is((await admin.listAgents({})).agents.length, 1);
  });
});

starting('ends within 5 s of a Ctrl-C, and leaves no process', async () => {
  const start = npmStart('--port', String(port), '--data-dir', first);
  await start.ready();
  const began = Date.now();
  start.signal('SIGINT');
  await start.ended();
  assert.ok(Date.now() - began < 5_000, `${Date.now() - began} ms`);
  await assertNothingLeft(first, port);
});

starting('continues after a restart without new keys and without touching applied objects', async () => {
  const before = npmStart('--port', String(port), '--data-dir', first);
  assert.is(keyIn(await before.ready()), undefined);
  const versions = await versionsIn(first, 'local-1');
  assert.is(versions.length, 3);
  const keys = await asAdmin(local, pak, async ({ admin }) => (await admin.listPaks({})).paks.length);
  before.signal('SIGINT');
  await before.ended();
  const start = npmStart('--port', String(port), '--data-dir', first);
  const text = await start.ready();
  assert.match(text, /system\/web +revision 1 +applied +on local-1/);
  assert.equal(await versionsIn(first, 'local-1'), versions);
  await asAdmin(local, pak, async ({ broker, admin }) => {
    assert.is((await admin.listPaks({})).paks.length, keys);
    assert.is((await broker.listDeployments({ stack: 'web' })).deployments.length, 1);
    assert.is((await admin.listAgents({})).agents.length, 1);
  });
});

starting('takes over after everything was killed', async () => {
  const killed = npmStart('--port', String(port), '--data-dir', first);
  await killed.ready();
  killed.signal('SIGKILL');
  await killed.ended();
  const start = npmStart('--port', String(port), '--data-dir', first);
  assert.match(await start.ready(), /system\/web +revision 1 +applied/);
  await asAdmin(local, pak, ({ broker }) => broker.whoAmI({}));
});

starting('takes over after only npm was killed', async () => {
  const killed = npmStart('--port', String(port), '--data-dir', first);
  await killed.ready();
  killed.child.kill('SIGKILL');
  const start = npmStart('--port', String(port), '--data-dir', first);
  assert.match(await start.ready(), /system\/web +revision 1 +applied/);
});

starting('ends by itself when npm was killed', async () => {
  const killed = npmStart('--port', String(port), '--data-dir', first);
  await killed.ready();
  killed.child.kill('SIGKILL');
  assert.equal(await processesLeft(first, 20_000), []);
});

starting('keeps the admin key when its first start is killed', async () => {
  const dataDir = join(place, 'killed');
  const keys = join(dataDir, 'keys.json');
  const killed = npmStart('--port', String(port), '--data-dir', dataDir);
  await eventually(() => existsSync(keys) && readFileSync(keys, 'utf8').includes('brokkr_ad'), READY_MS);
  killed.signal('SIGKILL');
  await killed.ended();
  assert.is(keyIn(killed.text()), undefined);
  const text = await npmStart('--port', String(port), '--data-dir', dataDir).ready();
  const key = keyIn(text);
  assert.ok(key, text);
  await asAdmin(local, key, ({ broker }) => broker.whoAmI({}));
  assert.is(statSync(keys).mode & 0o777, 0o600);
  assert.not.match(readFileSync(keys, 'utf8'), key);
});

starting('gives each of several agents a cluster of its own', async () => {
  const start = npmStart('--port', '0', '--agents', '3', '--data-dir', join(place, 'three'));
  const text = await start.ready();
  for (const name of ['local-1', 'local-2', 'local-3']) assert.match(text, new RegExp(`applied +on ${name}`));
  const folder = join(place, 'three');
  const urls = ['local-1', 'local-2', 'local-3'].map((name) => clusterUrl(folder, name));
  assert.is(new Set(urls).size, 3);
  for (const name of ['local-1', 'local-2', 'local-3']) assert.is((await versionsIn(folder, name)).length, 3);
});

starting('prints commands that work', async () => {
  const start = npmStart('--port', '0', '--data-dir', join(place, 'commands'));
  const text = await start.ready();
  const commands = [...text.matchAll(/^ {2}\$ (.*)$/gm)].map(([, command = '']) => command);
  assert.is(commands.length, 4);
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, BROKKR_PAK: keyIn(text), XDG_CONFIG_HOME: place, NO_COLOR: '1' };
  for (const command of commands) {
    const [program = ''] = command.split(' ');
    if (program === 'export' || !has(program)) continue;
    const out = execFileSync('sh', ['-c', command], {
      cwd: root,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.match(out, /web|admin/);
  }
});

function clusterUrl(folder: string, agent: string): string {
  const config = readFileSync(join(folder, 'clusters', `${agent}.kubeconfig`), 'utf8');
  return /server: '([^']+)'/.exec(config)?.[1] ?? '';
}

/** Returns the resource versions of the sample's objects in a simulated cluster; every write changes one. */
async function versionsIn(folder: string, agent: string): Promise<string[]> {
  const url = clusterUrl(folder, agent);
  const lists = ['api/v1/configmaps', 'api/v1/services', 'apis/apps/v1/deployments'].map(async (path) => {
    const answer = await fetch(`${url}/${path}?labelSelector=k8s.brokkr.io/stack-id`);
    const { items } = (await answer.json()) as { items: { metadata: { name: string; resourceVersion: string } }[] };
    return items.map(({ metadata }) => `${path} ${metadata.name} ${metadata.resourceVersion}`);
  });
  return (await Promise.all(lists)).flat();
}

function has(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

starting.run();
