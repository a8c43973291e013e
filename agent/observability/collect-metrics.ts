import { type Health, healths } from '../health/status.ts';
import type { Connectivity } from './connectivity.ts';
import type { Metrics } from './metrics.ts';

/** The figures that are read from an agent's parts when its metrics are asked for. */
export interface MeasuredParts {
  readonly stacks: { readonly counts: { readonly stacks: number; readonly unsettled: number } };
  readonly eventReporter: { readonly pending: number };
  readonly healthReporter: { readonly pending: number };
  readonly session: { readonly isUp: boolean };
  /** `answeredAt` is in milliseconds since 1970. */
  readonly puller: { readonly answeredAt: number | undefined };
  readonly telemetry: {
    readonly outbox: { readonly pending: number; readonly dropped: number };
    readonly streams: number;
  };
  readonly clusterState: {
    readonly healthMonitor: { counts(): Partial<Record<Health, number>> };
    readonly objectCache: { readonly size: number };
    readonly watches: { readonly counts: { readonly up: number; readonly down: number } };
  };
}

/** Sets the metrics that are read rather than counted. Without parts, the agent has not started at its broker yet. */
export function collectMetrics(metrics: Metrics, connectivity: Connectivity, parts: MeasuredParts | undefined): void {
  metrics.up.set({ peer: 'broker' }, connectivity.broker.ready ? 1 : 0);
  metrics.up.set({ peer: 'cluster' }, connectivity.cluster.ready ? 1 : 0);
  metrics.clusterLatency.set((connectivity.clusterLatencyMs ?? 0) / 1000);
  if (!parts) return;
  const { stacks, unsettled } = parts.stacks.counts;
  metrics.stacks.set({ state: 'settled' }, stacks - unsettled);
  metrics.stacks.set({ state: 'unsettled' }, unsettled);
  metrics.pending.set(parts.eventReporter.pending);
  metrics.sessionUp.set(parts.session.isUp ? 1 : 0);
  metrics.brokerAnswered.set((parts.puller.answeredAt ?? 0) / 1000);
  metrics.healthPending.set(parts.healthReporter.pending);
  const { outbox, streams } = parts.telemetry;
  metrics.telemetryPending.set(outbox.pending);
  metrics.telemetryDropped.reset();
  metrics.telemetryDropped.inc(outbox.dropped);
  metrics.logStreams.set(streams);
  const { healthMonitor, objectCache, watches } = parts.clusterState;
  const counts = healthMonitor.counts();
  for (const health of healths) metrics.health.set({ health }, counts[health] ?? 0);
  metrics.objects.set(objectCache.size);
  metrics.watches.set({ state: 'up' }, watches.counts.up);
  metrics.watches.set({ state: 'down' }, watches.counts.down);
}
