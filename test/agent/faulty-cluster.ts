import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import { type KubeProxy, startKubeProxy } from '../../sandbox/apiserver/proxy.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { connectObserver } from './test-environment.ts';

/** A cluster that an agent reaches through a faulty proxy, and that tests reach directly. */
export interface FaultyCluster {
  readonly name: 'simulated' | 'real';
  /** The proxy on the agent's connection. */
  readonly proxy: KubeProxy;
  readonly observer: ReturnType<typeof connectObserver>;
  /** Makes the API unavailable until `work` is done. */
  whileDown<Result>(work: () => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export async function openSimulatedFaultyCluster(): Promise<FaultyCluster> {
  const cluster = await startSimulatedCluster({ pods: false });
  const proxy = await startKubeProxy({ url: cluster.url, token: 'simulated', ca: undefined });
  const observer = connectObserver(cluster.kubeconfig);
  return {
    name: 'simulated',
    proxy,
    observer,
    async whileDown(work) {
      const endOutage = proxy.faults.add({ drop: true });
      proxy.closeConnections();
      try {
        return await work();
      } finally {
        endOutage();
      }
    },
    async close() {
      observer.close();
      await proxy.close();
      await cluster.stop();
    },
  };
}

/** Opens a real kube-apiserver, whose process is killed for an outage; only where `needs('go')` is true. */
export async function openRealFaultyCluster(): Promise<FaultyCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-faulty-'));
  const kube = await startKube({ dataDir });
  const proxy = await startKubeProxy(kube);
  const observer = connectObserver(kube.kubeconfigFor(kube.token));
  return {
    name: 'real',
    proxy,
    observer,
    async whileDown(work) {
      kube.killApiServer();
      try {
        return await work();
      } finally {
        await kube.restartApiServer();
      }
    },
    async close() {
      observer.close();
      await proxy.close();
      await kube.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
