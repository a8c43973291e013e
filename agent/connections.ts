import { type BrokkrClient, connectBroker } from '../client/client.ts';
import { defectReporter } from './broker/defects.ts';
import type { Config } from './config.ts';
import { connectCluster } from './kube/client.ts';
import type { Cluster } from './kube/cluster.ts';
import type { KubeSource } from './kube/kubeconfig.ts';

/** An agent's connections to its cluster and its broker. */
export interface Connections {
  /** Used by passes, and by everything that has no connections of its own. */
  readonly cluster: Cluster;
  /** Own connections, so that passes which wait for slow webhooks do not keep the lease from being renewed. Undefined without an election. */
  readonly leases: Cluster | undefined;
  /** Own connections, so that telemetry takes no place of what passes ask, and says nothing about the cluster when it fails. */
  readonly telemetry: Cluster;
  readonly broker: BrokkrClient;
  /** The agent's key; undefined until it has enrolled. */
  pak: string | undefined;
  close(): void;
}

export interface ConnectionOptions {
  readonly config: Config;
  readonly version: string;
  /** Called after each request to the cluster; status 0 stands for no answer. */
  readonly observe: (method: string, status: number, seconds: number) => void;
  /** Called after each request whose outcome tells whether the cluster is reachable. */
  readonly clusterAnswered: (status: number) => void;
  /** Called after a call to the broker that failed by a defect of the agent. */
  readonly defectFound: (method: string, defect: Error) => void;
}

const requestTimeoutMs = 30_000;
const requestConcurrency = 64;
const leaseConcurrency = 2;
const telemetryConcurrency = 4;

/** Prepares all connections; each is opened by the first call. Throws one clear line when a file that they need cannot be used. */
export function openConnections(options: ConnectionOptions): Connections {
  const { config, version, observe, clusterAnswered } = options;
  const connect = (concurrency: number, answered: (status: number) => void) =>
    connectCluster(kubeSource(config), {
      timeoutMs: requestTimeoutMs,
      concurrency,
      userAgent: `brokkr-agent/${version}`,
      observe: (method, status, seconds) => {
        observe(method, status, seconds);
        answered(status);
      },
    });
  const cluster = connect(requestConcurrency, clusterAnswered);
  const leases = config.election ? connect(leaseConcurrency, clusterAnswered) : undefined;
  const telemetry = connect(telemetryConcurrency, () => {});
  const broker = connectBroker({
    url: config.brokerUrl,
    pak: () => connections.pak,
    ...config.tls,
    interceptors: [defectReporter(options.defectFound)],
  });
  const connections: Connections = {
    cluster,
    leases,
    telemetry,
    broker,
    pak: config.pak,
    close() {
      broker.close();
      cluster.close();
      telemetry.close();
      leases?.close();
    },
  };
  return connections;
}

function kubeSource({ kubeconfigFile, kubeContext, kubeService }: Config): KubeSource {
  return kubeconfigFile === undefined ? { service: kubeService } : { file: kubeconfigFile, context: kubeContext };
}
