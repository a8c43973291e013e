import type { Reporter } from '../broker/event-reporter.ts';
import type { HealthReporter } from '../broker/health-reporter.ts';
import type { Puller } from '../broker/puller.ts';
import type { Session } from '../broker/session.ts';
import type { ClusterState } from '../cache/cluster-state.ts';
import { healths } from '../health/status.ts';
import type { Reconciler } from '../reconcile/reconciler.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Connectivity } from './connectivity.ts';
import type { Metrics } from './metrics.ts';

/** The parts of an agent that is past its start. */
export interface Parts {
  readonly reconciler: Reconciler;
  readonly reporter: Reporter;
  readonly session: Session;
  readonly puller: Puller;
  readonly clusterState: ClusterState;
  readonly healthReporter: HealthReporter;
  readonly telemetry: Telemetry;
}

/** Sets the figures that are looked up rather than counted. */
export function measure(metrics: Metrics, connectivity: Connectivity, parts: Parts | undefined): void {
  metrics.up.set({ peer: 'broker' }, connectivity.broker.ready ? 1 : 0);
  metrics.up.set({ peer: 'cluster' }, connectivity.cluster.ready ? 1 : 0);
  metrics.clusterLatency.set((connectivity.clusterLatencyMs ?? 0) / 1000);
  if (!parts) return;
  const { stacks, unsettled } = parts.reconciler.counts;
  metrics.stacks.set({ state: 'settled' }, stacks - unsettled);
  metrics.stacks.set({ state: 'unsettled' }, unsettled);
  metrics.pending.set(parts.reporter.pending);
  metrics.sessionUp.set(parts.session.isUp ? 1 : 0);
  metrics.brokerAnswered.set((parts.puller.answeredAt ?? 0) / 1000);
  metrics.healthPending.set(parts.healthReporter.pending);
  const { outbox, streams } = parts.telemetry;
  metrics.telemetryPending.set(outbox.pending);
  metrics.telemetryDropped.reset();
  metrics.telemetryDropped.inc(outbox.dropped);
  metrics.logStreams.set(streams);
  const { keeper, objectCache, watches } = parts.clusterState;
  const counts = keeper.counts();
  for (const health of healths) metrics.health.set({ health }, counts[health] ?? 0);
  metrics.objects.set(objectCache.size);
  metrics.watches.set({ state: 'up' }, watches.counts.up);
  metrics.watches.set({ state: 'down' }, watches.counts.down);
}
