import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HOST } from '../host.ts';
import type { KubePrograms, Program } from './build.ts';
import { apiServerFlags, controllerManagerFlags, etcdFlags } from './flags.ts';
import { type KubeFolder, readAuthority, writeKubeconfig, writeSecrets } from './folder.ts';
import { type Part, startPart } from './process.ts';

const CHECK_EVERY_MS = 20;
const REQUEST_MS = 2_000;
const API_SERVER_GRACE_MS = 1_500;
const ETCD_GRACE_MS = 1_500;

type PartName = 'etcd' | 'kube-apiserver' | 'kube-controller-manager';

export interface Cluster {
  readonly folder: KubeFolder;
  readonly programs: KubePrograms;
  readonly etcdPort: number;
  readonly port: number;
  readonly url: string;
  readonly parts: Map<PartName, Part>;
  readonly log: (line: string) => void;
  /** Aborts every wait. No part may be started afterwards. */
  readonly halt: AbortSignal;
}

/** Starts all parts in order; `deadline` is in milliseconds since the epoch. */
export async function startCluster(cluster: Cluster, deadline: number): Promise<{ ca: string; token: string }> {
  const { folder, programs, etcdPort, url } = cluster;
  start(cluster, 'etcd', programs.etcd, etcdFlags(folder, etcdPort));
  // Only a healthy etcd proves that the folder is ours: etcd refuses one that another cluster is using.
  await until('healthy etcd', () => answers(`http://${HOST}:${etcdPort}/health`), cluster, deadline);
  const token = writeSecrets(folder);
  await startApiServer(cluster, deadline);
  const ca = readAuthority(folder);
  writeKubeconfig(folder, url, ca, token);
  const present = (path: string) => () => answers(`${url}/api/v1/namespaces/default${path}`, { ca, token });
  await until('default namespace', present(''), cluster, deadline);
  if (programs.controllerManager) {
    await startControllers(cluster);
    await until('default service account', present('/serviceaccounts/default'), cluster, deadline);
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
export async function endCluster({ parts }: Cluster): Promise<void> {
  await parts.get('kube-controller-manager')?.end(0);
  await parts.get('kube-apiserver')?.end(API_SERVER_GRACE_MS);
  await parts.get('etcd')?.end(ETCD_GRACE_MS);
}

async function startApiServer(cluster: Cluster, deadline: number): Promise<void> {
  const { folder, programs, port, etcdPort, parts, halt } = cluster;
  await parts.get('kube-apiserver')?.end(API_SERVER_GRACE_MS);
  halt.throwIfAborted();
  const flags = apiServerFlags(folder, port, etcdPort, programs.controllerManager !== undefined);
  start(cluster, 'kube-apiserver', programs.apiServer, flags);
  const check = () => answers(`${cluster.url}/readyz`, { ca: readAuthority(folder) });
  await until('ready kube-apiserver', check, cluster, deadline);
}

async function startControllers(cluster: Cluster): Promise<void> {
  const program = cluster.programs.controllerManager;
  await cluster.parts.get('kube-controller-manager')?.end(0);
  cluster.halt.throwIfAborted();
  if (program) start(cluster, 'kube-controller-manager', program, controllerManagerFlags(cluster.folder));
}

function start(cluster: Cluster, name: PartName, program: Program, flags: string[]): void {
  const logFile = join(cluster.folder.root, `${name}.log`);
  const part = startPart(program, flags, logFile, (ending) => cluster.log(`${name} ${ending}; see ${logFile}`));
  cluster.parts.set(name, part);
}

/** Resolves once `check` holds. Throws when a part has ended, the deadline has passed or the cluster is halted. */
async function until(what: string, check: () => Promise<boolean>, cluster: Cluster, deadline: number): Promise<void> {
  while (true) {
    cluster.halt.throwIfAborted();
    for (const [name, part] of cluster.parts) if (part.ending) throw new Error(`no ${what}: ${name} ${part.ending}`);
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
function answers(url: string, access: { ca?: string; token?: string } = {}): Promise<boolean> {
  const { ca, token } = access;
  const options = { agent: false, ca, timeout: REQUEST_MS, headers: token ? { authorization: `Bearer ${token}` } : {} };
  return new Promise((settle, fail) => {
    const request = (url.startsWith('https:') ? httpsGet : httpGet)(url, options, (response) => {
      response.resume();
      settle(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', fail);
  });
}
