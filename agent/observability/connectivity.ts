import type { Readiness } from './http-server.ts';

/** Remembers whether the broker and the cluster answered the last request to each. */
export interface Connectivity {
  readonly broker: Readiness;
  readonly cluster: Readiness;
  brokerAnswered(): void;
  brokerFailed(reason: string): void;
  clusterAnswered(status: number): void;
  /** Notes the duration of a small request. */
  clusterTook(latencyMs: number): void;
  clusterFailed(reason: string): void;
  /** Duration of the last small request to the cluster; undefined before the first. */
  readonly clusterLatencyMs: number | undefined;
}

export function createConnectivity(): Connectivity {
  let broker: Readiness = { ready: false, reason: 'not asked yet' };
  let cluster: Readiness = { ready: false, reason: 'not asked yet' };
  let latency: number | undefined;
  return {
    get broker() {
      return broker;
    },
    get cluster() {
      return cluster;
    },
    brokerAnswered: () => {
      broker = { ready: true };
    },
    brokerFailed: (reason) => {
      broker = { ready: false, reason };
    },
    get clusterLatencyMs() {
      return latency;
    },
    clusterTook: (latencyMs) => {
      latency = latencyMs;
    },
    clusterAnswered: (status) => {
      if (status === 0) cluster = { ready: false, reason: 'the Kubernetes API does not answer' };
      else if (status === 401) cluster = { ready: false, reason: 'the Kubernetes API refuses the credentials' };
      else cluster = { ready: true };
    },
    clusterFailed: (reason) => {
      cluster = { ready: false, reason };
    },
  };
}
