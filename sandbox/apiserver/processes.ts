import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HOST } from '../host.ts';
import type { KubePrograms, Program } from './build.ts';
import { apiServerFlags, controllerManagerFlags, etcdFlags } from './flags.ts';
import { type KubeFolder, readAuthority, writeKubeconfig, writeSecrets } from './folder.ts';
import { type Component, startComponent } from './process.ts';

const CHECK_EVERY_MS = 20;
const REQUEST_MS = 2_000;
const API_SERVER_GRACE_MS = 1_500;
const ETCD_GRACE_MS = 1_500;

type ComponentName = 'etcd' | 'kube-apiserver' | 'kube-controller-manager';

export interface Cluster {
  readonly folder: KubeFolder;
  readonly programs: KubePrograms;
  readonly etcdPort: number;
  readonly port: number;
  readonly url: string;
  readonly components: Map<ComponentName, Component>;
  readonly log: (line: string) => void;
  /** Aborts every wait. No part may be started afterwards. */
  readonly halt: AbortSignal;
}

/** Starts all parts in order; `deadline` is in milliseconds since the epoch. */
export async function startCluster(cluster: Cluster, deadline: number): Promise<{ ca: string; token: string }> {
  const { folder, programs, etcdPort, url } = cluster;
  startOne(cluster, 'etcd', programs.etcd, etcdFlags(folder, etcdPort));
  // Only a healthy etcd proves that the folder is ours: etcd refuses one that another cluster is using.
  await waitFor('healthy etcd', () => answersOk(`http://${HOST}:${etcdPort}/health`), cluster, deadline);
  const token = writeSecrets(folder);
  await startApiServer(cluster, deadline);
  const ca = readAuthority(folder);
  writeKubeconfig(folder, url, ca, token);
  const answersIn = (path: string) => () => answersOk(`${url}/api/v1/namespaces/default${path}`, { ca, token });
  await waitFor('default namespace', answersIn(''), cluster, deadline);
  if (programs.controllerManager) {
    await startControllers(cluster);
    await waitFor('default service account', answersIn('/serviceaccounts/default'), cluster, deadline);
  } else {
    cluster.log('no kube-controller-manager: namespaces will not finish being deleted');
  }
  return { ca, token };
}

/**
 * Ends the API server if one is running, and resolves when the new one is ready. The controllers restart too: those
 * that met a dead API server would wait up to a minute before they try again.
 */
export async function restartApiServer(cluster: Cluster, deadline: number): Promise<void> {
  await startApiServer(cluster, deadline);
  await startControllers(cluster);
}

/** Ends the parts in the order that leaves none waiting for another. */
export async function endCluster({ components: parts }: Cluster): Promise<void> {
  await parts.get('kube-controller-manager')?.end(0);
  await parts.get('kube-apiserver')?.end(API_SERVER_GRACE_MS);
  await parts.get('etcd')?.end(ETCD_GRACE_MS);
}

async function startApiServer(cluster: Cluster, deadline: number): Promise<void> {
  const { folder, programs, port, etcdPort, components: parts, halt } = cluster;
  await parts.get('kube-apiserver')?.end(API_SERVER_GRACE_MS);
  halt.throwIfAborted();
  const flags = apiServerFlags(folder, port, etcdPort, programs.controllerManager !== undefined);
  startOne(cluster, 'kube-apiserver', programs.apiServer, flags);
  const check = () => answersOk(`${cluster.url}/readyz`, { ca: readAuthority(folder) });
  await waitFor('ready kube-apiserver', check, cluster, deadline);
}

async function startControllers(cluster: Cluster): Promise<void> {
  const program = cluster.programs.controllerManager;
  await cluster.components.get('kube-controller-manager')?.end(0);
  cluster.halt.throwIfAborted();
  if (program) startOne(cluster, 'kube-controller-manager', program, controllerManagerFlags(cluster.folder));
}

function startOne(cluster: Cluster, name: ComponentName, program: Program, flags: string[]): void {
  const logFile = join(cluster.folder.root, `${name}.log`);
  const component = startComponent(program, flags, logFile, (ending) =>
    cluster.log(`${name} ${ending}; see ${logFile}`),
  );
  cluster.components.set(name, component);
}

/** Resolves once `check` holds. Throws when a part has ended, the deadline has passed or the cluster is halted. */
async function waitFor(what: string, check: () => Promise<boolean>, cluster: Cluster, deadline: number): Promise<void> {
  while (true) {
    cluster.halt.throwIfAborted();
    for (const [name, component] of cluster.components)
      if (component.ending) throw new Error(`no ${what}: ${name} ${component.ending}`);
    if (await holds(check)) return;
    if (Date.now() > deadline)
      throw new Error(`no ${what} in the time allowed; see the logs in ${cluster.folder.root}`);
    await delay(CHECK_EVERY_MS);
  }
}

async function holds(check: () => Promise<boolean>): Promise<boolean> {
  try {
    return await check();
  } catch {
    return false;
  }
}

/** Reports whether the URL answers 200. */
function answersOk(url: string, access: { ca?: string; token?: string } = {}): Promise<boolean> {
  const { ca, token } = access;
  const options = { agent: false, ca, timeout: REQUEST_MS, headers: token ? { authorization: `Bearer ${token}` } : {} };
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? httpsGet : httpGet)(url, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', reject);
  });
}
