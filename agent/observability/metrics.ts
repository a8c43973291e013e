import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The agent's figures, in a registry of their own: many agents may run in one process. */
export interface Metrics {
  readonly pulls: Counter<'result'>;
  readonly events: Counter<'receipt'>;
  readonly passes: Histogram<'outcome'>;
  readonly requests: Histogram<'method' | 'status'>;
  readonly sessionUp: Gauge;
  readonly stacks: Gauge<'state'>;
  readonly pending: Gauge;
  readonly brokerAnswered: Gauge;
  readonly applies: Histogram;
  readonly drift: Counter<'outcome'>;
  readonly health: Gauge<'health'>;
  readonly healthPending: Gauge;
  readonly telemetryPending: Gauge;
  readonly telemetryDropped: Counter;
  readonly logStreams: Gauge;
  readonly objects: Gauge;
  readonly watches: Gauge<'state'>;
  readonly up: Gauge<'peer'>;
  readonly clusterLatency: Gauge;
  readonly leads: Gauge;
  /** Text in the format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
}

const passBuckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];
const requestBuckets = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30];

/** With `process`, also the process's own figures (memory, CPU, event loop). */
export function createMetrics(options: { process: boolean; version: string }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.process) collectDefaultMetrics({ register: registry });
  new Gauge({ registers, name: 'brokkr_agent_build_info', help: 'Always 1.', labelNames: ['version'] }).set(
    { version: options.version },
    1,
  );
  return {
    pulls: new Counter({
      registers,
      name: 'brokkr_agent_pulls_total',
      help: 'Pulls, by result.',
      labelNames: ['result'],
    }),
    events: new Counter({
      registers,
      name: 'brokkr_agent_events_total',
      help: 'Events, by what became of them.',
      labelNames: ['receipt'],
    }),
    passes: new Histogram({
      registers,
      name: 'brokkr_agent_pass_seconds',
      help: 'Passes over a stack.',
      labelNames: ['outcome'],
      buckets: passBuckets,
    }),
    requests: new Histogram({
      registers,
      name: 'brokkr_agent_kubernetes_request_seconds',
      help: 'Requests to the Kubernetes API.',
      labelNames: ['method', 'status'],
      buckets: requestBuckets,
    }),
    sessionUp: new Gauge({
      registers,
      name: 'brokkr_agent_session_up',
      help: 'Whether a session with the broker is up.',
    }),
    stacks: new Gauge({
      registers,
      name: 'brokkr_agent_stacks',
      help: 'Stacks that the broker speaks of.',
      labelNames: ['state'],
    }),
    pending: new Gauge({
      registers,
      name: 'brokkr_agent_events_pending',
      help: 'Events that the broker has not answered yet.',
    }),
    brokerAnswered: new Gauge({
      registers,
      name: 'brokkr_agent_broker_answer_timestamp_seconds',
      help: 'When the broker last answered a pull.',
    }),
    applies: new Histogram({
      registers,
      name: 'brokkr_agent_apply_seconds',
      help: 'Applies of an object; dry runs left out.',
      buckets: requestBuckets,
    }),
    drift: new Counter({
      registers,
      name: 'brokkr_agent_drifted_objects_total',
      help: 'Objects that somebody else changed or deleted, by whether they were repaired or only reported.',
      labelNames: ['outcome'],
    }),
    health: new Gauge({
      registers,
      name: 'brokkr_agent_stack_health',
      help: 'Stacks, by how they do.',
      labelNames: ['health'],
    }),
    healthPending: new Gauge({
      registers,
      name: 'brokkr_agent_health_pending',
      help: 'Stacks whose health is to be told to the broker.',
    }),
    telemetryPending: new Gauge({
      registers,
      name: 'brokkr_agent_telemetry_pending',
      help: 'Kubernetes events, log lines and gaps that the broker does not have yet.',
    }),
    telemetryDropped: new Counter({
      registers,
      name: 'brokkr_agent_telemetry_dropped_total',
      help: 'Kubernetes events and log lines that were left out because there was no room to keep them.',
    }),
    logStreams: new Gauge({
      registers,
      name: 'brokkr_agent_log_streams',
      help: 'Containers whose logs are followed.',
    }),
    objects: new Gauge({ registers, name: 'brokkr_agent_objects', help: 'Objects that stacks desire.' }),
    watches: new Gauge({
      registers,
      name: 'brokkr_agent_watches',
      help: 'Watches, one a kind, by whether they are up.',
      labelNames: ['state'],
    }),
    up: new Gauge({
      registers,
      name: 'brokkr_agent_peer_up',
      help: 'Whether the broker and the cluster answered when they were asked last.',
      labelNames: ['peer'],
    }),
    clusterLatency: new Gauge({
      registers,
      name: 'brokkr_agent_cluster_latency_seconds',
      help: 'How long the last small request to the Kubernetes API took.',
    }),
    leads: new Gauge({
      registers,
      name: 'brokkr_agent_leads',
      help: 'Whether this agent acts; 0 while it waits for another one to end.',
    }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
