import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import { type KubeProxy, startKubeProxy } from '../../sandbox/apiserver/proxy.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { openEyes } from './agent-stage.ts';

/** A cluster with a way to it that can be made bad, and one that cannot. */
export interface Site {
  readonly name: 'simulated' | 'real';
  /** The agent's way. */
  readonly proxy: KubeProxy;
  readonly eyes: ReturnType<typeof openEyes>;
  /** Lets the API be away until the work is done. */
  without<Result>(work: () => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export async function openSimulatedSite(): Promise<Site> {
  const cluster = await startSimulatedCluster({ pods: false });
  const proxy = await startKubeProxy({ url: cluster.url, token: 'simulated', ca: undefined });
  const eyes = openEyes(cluster.kubeconfig);
  return {
    name: 'simulated',
    proxy,
    eyes,
    async without(work) {
      const back = proxy.faults.add({ drop: true });
      proxy.closeConnections();
      try {
        return await work();
      } finally {
        back();
      }
    },
    async close() {
      eyes.close();
      await proxy.close();
      await cluster.stop();
    },
  };
}

/** A real kube-apiserver, which really ends; only where `needs('go')` is true. */
export async function openRealSite(): Promise<Site> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-site-'));
  const kube = await startKube({ dataDir });
  const proxy = await startKubeProxy(kube);
  const eyes = openEyes(kube.kubeconfigFor(kube.token));
  return {
    name: 'real',
    proxy,
    eyes,
    async without(work) {
      kube.killApiServer();
      try {
        return await work();
      } finally {
        await kube.restartApiServer();
      }
    },
    async close() {
      eyes.close();
      await proxy.close();
      await kube.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
