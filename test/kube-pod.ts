import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type KubeObject, listAt, textAt } from '../agent/object/kube-object.ts';
import type { Kube } from '../sandbox/apiserver/apiserver.ts';
import { requestKube, requestToken } from '../sandbox/apiserver/client.ts';

/** A pod of the agent, run as a process without a container. */
export interface Pod {
  /** Environment of the container. */
  readonly env: Readonly<Record<string, string>>;
  /** Returns everything that it has printed so far. */
  said(): string;
  /** Terminates it gracefully. Idempotent. */
  end(): Promise<void>;
}

const root = resolve(import.meta.dirname, '..');
const template = ['spec', 'template', 'spec'] as const;

/**
 * Runs the container of the agent's Deployment as a kubelet would: with the rights of its account, its environment and
 * its mounts, which are placed below a folder. Only its port differs: any free one.
 */
export async function runPod(kube: Kube, deployment: KubeObject, folder: string): Promise<Pod> {
  const { namespace = '' } = deployment.metadata;
  const [container] = listAt(deployment, ...template, 'containers');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const kubeconfig = join(folder, 'kubeconfig');
  const token = await requestToken(kube, namespace, textAt(deployment, ...template, 'serviceAccountName') ?? '');
  writeFileSync(kubeconfig, kube.kubeconfigFor(token), { mode: 0o600 });
  await mountVolumes(kube, deployment, folder);
  const env = await environmentOf(kube, namespace, container);
  const inFolder = Object.entries(env).map(([name, value]) => [
    name,
    value.startsWith('/') ? join(folder, value) : value,
  ]);
  const args = listAt(container, 'args').map((arg) => String(arg).replace(/^brokkr-(\w+)\.js$/, `${root}/$1/main.ts`));
  const child = spawn(process.execPath, args, {
    env: { ...Object.fromEntries(inFolder), KUBECONFIG: kubeconfig, BROKKR_HEALTH_LISTEN: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const exited = once(child, 'exit');
  return {
    env,
    said: () => said,
    async end() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Creates folders for the volumes, with the files of those that are ConfigMaps. */
async function mountVolumes(kube: Kube, deployment: KubeObject, folder: string): Promise<void> {
  const [container] = listAt(deployment, ...template, 'containers');
  for (const volume of listAt(deployment, ...template, 'volumes')) {
    const mount = listAt(container, 'volumeMounts').find((one) => textAt(one, 'name') === textAt(volume, 'name'));
    const path = join(folder, textAt(mount, 'mountPath') ?? '');
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const name = textAt(volume, 'configMap', 'name');
    if (name === undefined) continue;
    const found = await read(kube, deployment.metadata.namespace ?? '', 'configmaps', name);
    for (const [file, text] of Object.entries((found?.data ?? {}) as Record<string, string>))
      writeFileSync(join(path, file), text);
  }
}

async function environmentOf(kube: Kube, namespace: string, container: unknown): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const variable of listAt(container, 'env')) {
    const given = textAt(variable, 'value') ?? (textAt(variable, 'valueFrom', 'fieldRef', 'fieldPath') && namespace);
    const value = given ?? (await secretText(kube, namespace, variable));
    // An optional Secret is missing.
    if (value !== undefined) env[textAt(variable, 'name') ?? ''] = value;
  }
  return env;
}

async function secretText(kube: Kube, namespace: string, variable: unknown): Promise<string | undefined> {
  const source = ['valueFrom', 'secretKeyRef'] as const;
  const secret = await read(kube, namespace, 'secrets', textAt(variable, ...source, 'name') ?? '');
  const text = textAt(secret, 'data', textAt(variable, ...source, 'key') ?? '');
  return text === undefined ? undefined : Buffer.from(text, 'base64').toString();
}

async function read(kube: Kube, namespace: string, plural: string, name: string): Promise<KubeObject | undefined> {
  const path = `/api/v1/namespaces/${namespace}/${plural}/${name}`;
  const { status, body } = await requestKube<KubeObject>(kube, { method: 'GET', path });
  return status === 200 ? body : undefined;
}
