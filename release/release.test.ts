import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, stringify } from 'yaml';
import manifest from '../package.json' with { type: 'json' };
import { startSimulatedCluster } from '../sandbox/cluster/cluster.ts';
import { startPostgres } from '../sandbox/postgres/postgres.ts';
import { eventually } from '../test/broker.ts';
import { makeRelease } from './release.ts';

const deadlineMs = 60_000;
const place = mkdtempSync(join(tmpdir(), 'brokkr-release-'));
// Outside of the repository, so that programs cannot find its packages.
const folder = join(place, 'brokkr');
await makeRelease(folder);
const postgres = await startPostgres({ dataDir: mkdtempSync(join(tmpdir(), 'brokkr-database-')), fsync: false });
const cluster = await startSimulatedCluster({ pods: false });
const running: Running[] = [];

const release = suite('release');
release.after(async () => {
  for (const { end } of running.reverse()) await end();
  await cluster.stop();
  await postgres.stop();
  for (const made of [place, postgres.dataDir]) rmSync(made, { recursive: true, force: true });
});

interface Running {
  /** Waits for the first match in its output. */
  hear(pattern: RegExp): Promise<string>;
  end(): Promise<void>;
}

/** Starts a program of the release with only the given environment. */
function start(args: readonly string[], env: Record<string, string>): Running {
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const exited = once(child, 'exit');
  const program: Running = {
    hear: (pattern) =>
      eventually(() => {
        assert.is(child.exitCode, null, said);
        return pattern.exec(said)?.[1];
      }, deadlineMs),
    async end() {
      child.kill('SIGTERM');
      await exited;
    },
  };
  running.push(program);
  return program;
}

/** Runs the CLI with a key and returns its output. */
async function brokkr(server: string, pak: string, ...args: string[]): Promise<string> {
  const env = { BROKKR_SERVER: server, BROKKR_PAK: pak, XDG_CONFIG_HOME: place, XDG_CACHE_HOME: place };
  const { stdout } = await promisify(execFile)(process.execPath, ['brokkr.js', ...args], {
    cwd: folder,
    env,
    timeout: deadlineMs,
  });
  return stdout;
}

release('is a package of executable programs, one file each', () => {
  const { bin, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as typeof manifest;
  assert.is(version, manifest.version);
  assert.equal(Object.keys(bin), ['brokkr', 'brokkr-broker', 'brokkr-agent']);
  for (const file of Object.values(bin)) {
    assert.match(readFileSync(join(folder, file), 'utf8'), /^#!\/usr\/bin\/env node\n/);
    assert.is(statSync(join(folder, file)).mode & 0o777, 0o755);
  }
  assert.not(readdirSync(folder).includes('node_modules'));
});

release('contains the whole contract, as files and as a descriptor set', () => {
  const contract = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(join(folder, 'brokkr.binpb'))));
  assert.ok(contract.getService('brokkr.v1.BrokerService'));
  const sources = readdirSync(join(folder, 'proto'), { recursive: true, encoding: 'utf8' });
  for (const { proto } of contract.files)
    assert.ok(sources.includes(proto.name) || proto.package === 'google.protobuf', proto.name);
  assert.equal(
    sources.filter((name) => name.endsWith('.ts')),
    [],
  );
});

release('lists the licenses of its packages', () => {
  const notices = readFileSync(join(folder, 'THIRD-PARTY.txt'), 'utf8');
  for (const name of ['@connectrpc/connect', '@mikro-orm/core', 'argon2', 'pino', 'react', 'yaml'])
    assert.match(notices, new RegExp(`^${name} [0-9]`, 'm'));
});

release('needs only Node to run a broker, an agent and the CLI', async () => {
  const adminPakFile = join(place, 'admin-pak');
  start(['brokkr-broker.js', 'serve'], {
    BROKKR_DATABASE_URL: postgres.url,
    BROKKR_LISTEN: '127.0.0.1:0',
    BROKKR_METRICS_LISTEN: '127.0.0.1:0',
    BROKKR_ADMIN_PAK_FILE: adminPakFile,
  });
  const [broker] = running;
  const server = (await broker?.hear(/"url":"(http:[^"]+)"/)) ?? '';
  const pak = readFileSync(adminPakFile, 'utf8').trim();
  assert.match(await (await fetch(server)).text(), '<script type="module"', 'the console is there');

  const [, key = ''] =
    /(brokkr_ag\w+)/.exec(await brokkr(server, pak, 'create', 'agent', 'lab', '--label', 'lab')) ?? [];
  const kubeconfig = join(place, 'kubeconfig');
  writeFileSync(kubeconfig, withProgram(cluster.kubeconfig), { mode: 0o600 });
  start(['--max-semi-space-size=2', 'brokkr-agent.js'], {
    BROKKR_BROKER_URL: server,
    BROKKR_PAK: key,
    BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
    KUBECONFIG: kubeconfig,
  });
  const objects = join(place, 'objects');
  mkdirSync(objects);
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'web' }, data: { colour: 'blue' } };
  writeFileSync(join(objects, 'web.yaml'), JSON.stringify(object));
  await brokkr(server, pak, 'apply', '-f', objects, '--stack', 'web', '--label', 'lab', '--wait');
  assert.equal(cluster.get('v1', 'ConfigMap', 'default', 'web')?.data, { colour: 'blue' });
  assert.match(await brokkr(server, pak, 'get', 'agents'), /lab +/);
});

/** Replaces the token by an exec plugin, for which an agent loads additional code. */
function withProgram(kubeconfig: string): string {
  const config = parse(kubeconfig) as { users: [{ user: object }] };
  const credential = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: 'any' },
  };
  const script = `console.log(${JSON.stringify(JSON.stringify(credential))})`;
  const { apiVersion } = credential;
  const exec = { apiVersion, command: process.execPath, args: ['-e', script], interactiveMode: 'Never' };
  return stringify({ ...config, users: [{ ...config.users[0], user: { exec } }] });
}

release.run();
