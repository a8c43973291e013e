import type { Readiness } from './health-server.ts';

/** Whether the broker and the cluster answer, by what was last heard of each. */
export interface Peers {
  readonly broker: Readiness;
  readonly cluster: Readiness;
  brokerAnswered(): void;
  brokerFailed(reason: string): void;
  /** Told of each answer; `latencyMs` when it was a small one. */
  clusterAnswered(status: number, latencyMs?: number): void;
  clusterFailed(reason: string): void;
  readonly clusterAskedAt: number;
  /** Of the last small answer; undefined before the first. */
  readonly clusterLatencyMs: number | undefined;
}

export function createPeers(): Peers {
  let broker: Readiness = { ready: false, reason: 'not asked yet' };
  let cluster: Readiness = { ready: false, reason: 'not asked yet' };
  let askedAt = 0;
  let latency: number | undefined;
  return {
    get broker() {
      return broker;
    },
    get cluster() {
      return cluster;
    },
    get clusterAskedAt() {
      return askedAt;
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
    clusterAnswered: (status, latencyMs) => {
      if (status !== 0 && latencyMs !== undefined) latency = latencyMs;
      askedAt = Date.now();
      if (status === 0) cluster = { ready: false, reason: 'the Kubernetes API does not answer' };
      else if (status === 401) cluster = { ready: false, reason: 'the Kubernetes API refuses the credentials' };
      else cluster = { ready: true };
    },
    clusterFailed: (reason) => {
      cluster = { ready: false, reason };
    },
  };
}
