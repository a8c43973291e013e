import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { needs } from '../../test/runner/needs.ts';
import { buildKube, type Kube, startKube } from './apiserver.ts';
import { APPLY_PATCH, type KubeAccess, type KubeRequest, requestKube } from './client.ts';

interface Body {
  readonly data?: unknown;
  readonly gitVersion?: string;
}

const kube = suite('kube');
if (needs('go')) await describe();
kube.run();

async function describe(): Promise<void> {
  // Test our own build, even where the environment names other programs.
  delete process.env.KUBEBUILDER_ASSETS;
  const place = mkdtempSync(join(tmpdir(), 'brokkr-kube-'));
  const binary = await buildKube();
  const cluster = await startKube({ dataDir: join(place, 'shared') });

  kube.after(async () => {
    await cluster.stop();
    rmSync(place, { recursive: true, force: true });
  });

  kube('reports its version', async () => {
    const { body } = await ask(cluster, 'GET', '/version');
    assert.is(body.gitVersion, 'v1.36.3');
  });

  kube('keeps its secrets from other users', () => {
    for (const file of [
      cluster.kubeconfig,
      join(place, 'shared/tokens.csv'),
      join(place, 'shared/service-account.key'),
    ])
      assert.is(statSync(file).mode & 0o777, 0o600);
    assert.is(readFileSync(cluster.kubeconfig, 'utf8'), cluster.kubeconfigFor(cluster.token));
  });

  kube('refuses a wrong token', async () => {
    const { status } = await ask({ ...cluster, token: 'wrong' }, 'GET', '/api/v1/namespaces');
    assert.is(status, 401);
  });

  kube('applies a ConfigMap server-side', async () => {
    const first = await applyConfigMap(cluster, 'default', 'applied', { colour: 'red' });
    assert.is(first.status, 201);
    const second = await applyConfigMap(cluster, 'default', 'applied', { colour: 'blue' });
    assert.is(second.status, 200);
    assert.equal(second.body.data, { colour: 'blue' });
  });

  kube('finishes the deletion of a namespace', () => makeAndDelete(cluster, 'short-lived'));

  kube('keeps URL, certificate, objects and controllers over a crash of the API server', async () => {
    await applyConfigMap(cluster, 'default', 'kept', { colour: 'green' });
    cluster.killApiServer();
    await eventually(async () => cluster.pids.length === 2);
    await cluster.restartApiServer();
    const { body } = await ask(cluster, 'GET', '/api/v1/namespaces/default/configmaps/kept');
    assert.equal(body.data, { colour: 'green' });
    assert.is(cluster.pids.length, 3);
    await makeAndDelete(cluster, 'after-the-crash');
  });

  kube('leaves no process after stop, and finds its objects at the next start', async () => {
    const dataDir = join(place, 'again');
    const first = await startKube({ dataDir });
    await applyConfigMap(first, 'default', 'kept', { colour: 'green' });
    assert.is(programsOf(dataDir), 3);
    const stopped = Date.now();
    await first.stop();
    assert.ok(Date.now() - stopped < 5_000);
    assert.is(programsOf(dataDir), 0);
    await first.stop();
    const refusal = await first.restartApiServer().catch((error: Error) => error.message);
    assert.match(String(refusal), 'has been stopped');
    const second = await startKube({ dataDir });
    const { status } = await ask(second, 'GET', '/api/v1/namespaces/default/configmaps/kept');
    await second.stop();
    assert.is(status, 200);
    assert.is(second.token, first.token);
  });

  kube('leaves no process when its own process is killed', async () => {
    const dataDir = join(place, 'orphan');
    const script = `import { startKube } from ${JSON.stringify(import.meta.resolve('./apiserver.ts'))};
      await startKube({ dataDir: ${JSON.stringify(dataDir)} });
      console.log('started');`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(parent.stdout, 'data');
    assert.is(programsOf(dataDir), 3);
    parent.kill('SIGKILL');
    await eventually(async () => programsOf(dataDir) === 0);
  });

  kube('leaves no process when aborted during the start', async () => {
    const dataDir = join(place, 'aborted');
    const controller = new AbortController();
    const starting = startKube({ dataDir, signal: controller.signal }).catch((error: Error) => error);
    await eventually(async () => existsSync(join(dataDir, 'kube-apiserver.log')));
    controller.abort(new Error('enough'));
    assert.match(String(await starting), 'enough');
    assert.is(programsOf(dataDir), 0);
  });

  kube('uses the programs in KUBEBUILDER_ASSETS', async () => {
    const lines: string[] = [];
    const assets = writeAssets(join(place, 'assets'), `exec '${binary}' "$(basename "$0")" "$@"`);
    const other = await withAssets(assets, () =>
      startKube({ dataDir: join(place, 'envtest'), log: (l) => lines.push(l) }),
    );
    assert.is(other.pids.length, 2);
    assert.match(lines.join(), 'no kube-controller-manager');
    await other.stop();
  });

  kube('reports why a program ended', async () => {
    const assets = writeAssets(join(place, 'broken'), 'echo out of luck; exit 3');
    const starting = withAssets(assets, () => startKube({ dataDir: join(place, 'failed') }));
    const refusal = await starting.catch((error: Error) => error.message);
    assert.match(String(refusal), /etcd ended with 3: out of luck/);
  });
}

function ask(access: KubeAccess, method: KubeRequest['method'], path: string, body?: unknown) {
  return requestKube<Body>(access, { method, path, body, ...(method === 'PATCH' && { contentType: APPLY_PATCH }) });
}

function applyConfigMap(access: Kube, namespace: string, name: string, data: Record<string, string>) {
  const path = `/api/v1/namespaces/${namespace}/configmaps/${name}?fieldManager=sandbox`;
  return ask(access, 'PATCH', path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
}

async function makeAndDelete(access: Kube, name: string): Promise<void> {
  const manifest = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  assert.is((await ask(access, 'POST', '/api/v1/namespaces', manifest)).status, 201);
  assert.is((await applyConfigMap(access, name, 'inside', {})).status, 201);
  await ask(access, 'DELETE', `/api/v1/namespaces/${name}`);
  await eventually(async () => (await ask(access, 'GET', `/api/v1/namespaces/${name}`)).status === 404);
}

function programsOf(dataDir: string): number {
  const lines = execFileSync('ps', ['-A', '-ww', '-o', 'args='], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(`${dataDir}/`)).length;
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('it did not happen within 30 s');
    await delay(50);
  }
}

function writeAssets(folder: string, script: string): string {
  mkdirSync(folder);
  for (const name of ['etcd', 'kube-apiserver'])
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return folder;
}

async function withAssets<T>(folder: string, action: () => Promise<T>): Promise<T> {
  process.env.KUBEBUILDER_ASSETS = folder;
  try {
    return await action();
  } finally {
    delete process.env.KUBEBUILDER_ASSETS;
  }
}
