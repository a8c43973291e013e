import type { Logger } from 'pino';
import type { Tracing } from '../client/trace.ts';
import type { Backoff } from './concurrency/backoff.ts';
import type { ElectionTimes } from './kube/leader-election.ts';
import type { TelemetryLimits } from './telemetry/telemetry.ts';

export interface AgentOptions {
  readonly log: Logger;
  /** Closes the agent when aborted. */
  readonly signal?: AbortSignal;
  /** Delays between tries; default 1 s growing to 60 s for stacks, and 0.5 s to 30 s for telemetry. */
  readonly retry?: Backoff;
  /** Milliseconds after which a stack that is as desired is checked again; default 10 minutes. */
  readonly resyncMs?: number;
  readonly telemetry?: TelemetryLimits;
  /** Times of the election among several agents. */
  readonly election?: Partial<ElectionTimes>;
  /** Adds the metrics of the process itself; for a process that runs one agent. */
  readonly processMetrics?: boolean;
  /** Takes the spans of traces; the caller closes it. */
  readonly tracing?: Tracing | undefined;
}
