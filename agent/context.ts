import type { Config } from './config.ts';
import type { Connections } from './connections.ts';
import type { LeaderElection } from './kube/leader-election.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { ManifestCache } from './manifest/cache.ts';
import type { Connectivity } from './observability/connectivity.ts';
import type { Metrics } from './observability/metrics.ts';
import type { AgentTraces } from './observability/tracing.ts';
import type { AgentOptions } from './options.ts';

/** Everything that an agent opens at once, and that its parts are built from. */
export interface AgentContext {
  readonly config: Config;
  /** Returns the configuration as it was last reloaded. */
  readonly settings: () => Config;
  readonly options: AgentOptions;
  readonly version: string;
  readonly lifecycle: Lifecycle;
  /** Aborts when the parts are to end; by then passes have been given up. */
  readonly signal: AbortSignal;
  readonly connections: Connections;
  readonly election: LeaderElection | undefined;
  readonly manifests: ManifestCache;
  readonly connectivity: Connectivity;
  readonly metrics: Metrics;
  readonly traces: AgentTraces;
}
