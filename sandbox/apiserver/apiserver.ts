import { HOST } from '../host.ts';
import { kubePrograms } from './build.ts';
import { kubeconfigText, openFolder } from './folder.ts';
import { freePorts } from './process.ts';
import { type Cluster, endCluster, restartApiServer, startCluster } from './processes.ts';

export { buildKube, isGoInstalled as goPresent } from './build.ts';

const STARTUP_MS = 60_000;

export interface KubeOptions {
  /**
   * Created when missing. A later start on the same folder has the same objects and admin token. One cluster at a time.
   */
  readonly dataDir: string;
  /** Stops the cluster when aborted, during the build and the start as well. */
  readonly signal?: AbortSignal;
  /** Receives progress, one line at a time. By default only a build is reported, on standard error. */
  readonly log?: (line: string) => void;
  /** Milliseconds that the start, or a restart of the API server, may take, without the build. Default 60,000. */
  readonly startupMs?: number;
}

export interface Kube {
  /** Path of the admin's kubeconfig; only this user may read it. */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:port`. Each start chooses another port; `restartApiServer` keeps it. */
  readonly url: string;
  /** PEM of the authority that signed the API server's certificate. Each start makes a new one. */
  readonly ca: string;
  /** Bearer token of a user in `system:masters`. */
  readonly token: string;
  /** Process ids of the programs that are running. */
  readonly pids: readonly number[];
  /** Returns the text of a kubeconfig that authenticates with another token. */
  kubeconfigFor(token: string): string;
  /** Sends SIGKILL, as a crash would. etcd and the controllers keep running; `restartApiServer` starts it again. */
  killApiServer(): void;
  /**
   * Ends the API server if it runs, starts it on the same port, restarts the controllers, and resolves when it is
   * ready. Rejects after `stop`.
   */
  restartApiServer(): Promise<void>;
  /** Ends every program within 5 s and keeps the data folder. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts real etcd, kube-apiserver and kube-controller-manager on loopback ports, building them first where needed, and
 * resolves when the API server is ready and the `default` namespace has its service account. Rejects, with nothing left
 * running, when one of them ends, the time is over or the signal aborts. None outlives this process, however it dies;
 * only programs of KUBEBUILDER_ASSETS survive its SIGKILL.
 */
export async function startKube(options: KubeOptions): Promise<Kube> {
  const { signal, log = () => {}, startupMs = STARTUP_MS } = options;
  signal?.throwIfAborted();
  const programs = await kubePrograms(signal, options.log);
  const folder = openFolder(options.dataDir);
  const [etcdPort = 0, port = 0] = await freePorts(2);
  const url = `https://${HOST}:${port}`;
  const halt = new AbortController();
  const cluster: Cluster = { folder, programs, etcdPort, port, url, components: new Map(), log, halt: halt.signal };
  const killAll = () => cluster.components.forEach((part) => void part.kill());
  const end = async () => {
    halt.abort(signal?.reason ?? new Error('the cluster has been stopped'));
    await endCluster(cluster);
    signal?.removeEventListener('abort', stop);
    process.off('exit', killAll);
  };
  let ending: Promise<void> | undefined;
  const stop = () => (ending ??= end());

  process.on('exit', killAll);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    signal?.throwIfAborted();
    const { ca, token } = await startCluster(cluster, Date.now() + startupMs);
    return {
      kubeconfig: folder.kubeconfig,
      url,
      ca,
      token,
      get pids() {
        return [...cluster.components.values()].filter((part) => !part.ending).map((part) => part.pid);
      },
      kubeconfigFor: (other) => kubeconfigText(url, ca, other),
      killApiServer: () => cluster.components.get('kube-apiserver')?.kill(),
      restartApiServer: () => restartApiServer(cluster, Date.now() + startupMs),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
