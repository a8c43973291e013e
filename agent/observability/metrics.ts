import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

type Registers = Registry[];

/** The agent's metrics, in a registry of their own: many agents may run in one process. */
export type Metrics = ReturnType<typeof brokerMetrics> &
  ReturnType<typeof stackMetrics> &
  ReturnType<typeof telemetryMetrics> &
  ReturnType<typeof clusterMetrics> & {
    /** Returns all of them in the Prometheus text format. */
    text(): Promise<string>;
    readonly contentType: string;
  };

const passBuckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];
const requestBuckets = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30];

/** Creates the metrics; `process` adds those of the process itself (memory, CPU, event loop). */
export function createMetrics(options: { process: boolean; version: string }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.process) collectDefaultMetrics({ register: registry });
  const buildInfo = new Gauge({
    registers,
    name: 'brokkr_agent_build_info',
    help: 'Always 1.',
    labelNames: ['version'],
  });
  buildInfo.set({ version: options.version }, 1);
  return {
    ...brokerMetrics(registers),
    ...stackMetrics(registers),
    ...telemetryMetrics(registers),
    ...clusterMetrics(registers),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function brokerMetrics(registers: Registers) {
  return {
    pulls: new Counter({
      registers,
      name: 'brokkr_agent_pulls_total',
      help: 'Pulls, by result.',
      labelNames: ['result'],
    }),
    defects: new Counter({
      registers,
      name: 'brokkr_agent_defects_total',
      help: 'Calls to the broker that failed by a defect of the agent, by method.',
      labelNames: ['method'],
    }),
    events: new Counter({
      registers,
      name: 'brokkr_agent_events_total',
      help: 'Events, by receipt, or dropped by the agent.',
      labelNames: ['receipt'],
    }),
    sessionUp: new Gauge({
      registers,
      name: 'brokkr_agent_session_up',
      help: 'Whether a session with the broker is up.',
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
    healthPending: new Gauge({
      registers,
      name: 'brokkr_agent_health_pending',
      help: 'Stacks whose health is still to be reported to the broker.',
    }),
  };
}

function stackMetrics(registers: Registers) {
  return {
    passes: new Histogram({
      registers,
      name: 'brokkr_agent_pass_seconds',
      help: 'Duration of passes over a stack, by outcome.',
      labelNames: ['outcome'],
      buckets: passBuckets,
    }),
    stacks: new Gauge({
      registers,
      name: 'brokkr_agent_stacks',
      help: 'Stacks that the broker lists, by whether they are as desired.',
      labelNames: ['state'],
    }),
    applies: new Histogram({
      registers,
      name: 'brokkr_agent_apply_seconds',
      help: 'Duration of applying an object; dry runs left out.',
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
      help: 'Stacks, by health.',
      labelNames: ['health'],
    }),
    objects: new Gauge({ registers, name: 'brokkr_agent_objects', help: 'Objects that stacks desire.' }),
  };
}

function telemetryMetrics(registers: Registers) {
  return {
    telemetryPending: new Gauge({
      registers,
      name: 'brokkr_agent_telemetry_pending',
      help: 'Kubernetes events, log lines and gaps that the broker does not have yet.',
    }),
    telemetryDropped: new Counter({
      registers,
      name: 'brokkr_agent_telemetry_dropped_total',
      help: 'Kubernetes events and log lines that were dropped because the buffer was full.',
    }),
    logStreams: new Gauge({
      registers,
      name: 'brokkr_agent_log_streams',
      help: 'Containers whose logs are followed.',
    }),
  };
}

function clusterMetrics(registers: Registers) {
  return {
    requests: new Histogram({
      registers,
      name: 'brokkr_agent_kubernetes_request_seconds',
      help: 'Duration of requests to the Kubernetes API, by method and status.',
      labelNames: ['method', 'status'],
      buckets: requestBuckets,
    }),
    watches: new Gauge({
      registers,
      name: 'brokkr_agent_watches',
      help: 'Watches, one for each kind, by whether they are up.',
      labelNames: ['state'],
    }),
    up: new Gauge({
      registers,
      name: 'brokkr_agent_peer_up',
      help: 'Whether the broker and the cluster answered their last request.',
      labelNames: ['peer'],
    }),
    clusterLatency: new Gauge({
      registers,
      name: 'brokkr_agent_cluster_latency_seconds',
      help: 'Duration of the last small request to the Kubernetes API.',
    }),
    leads: new Gauge({
      registers,
      name: 'brokkr_agent_leads',
      help: 'Whether this agent acts; 0 while another one leads.',
    }),
  };
}
