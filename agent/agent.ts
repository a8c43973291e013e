import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { reloadConfig } from '../client/reload.ts';
import manifest from '../package.json' with { type: 'json' };
import { type BrokerClient, createBrokerClient, type Identity } from './broker/client.ts';
import { createReannouncer, type Start, startWithRetry } from './broker/handshake.ts';
import { type BrokerParts, createBrokerParts } from './broker-parts.ts';
import { type Config, fixed } from './config.ts';
import { openConnections } from './connections.ts';
import type { AgentContext } from './context.ts';
import type { Cluster } from './kube/cluster.ts';
import { createLeaderElection, type LeaderElection } from './kube/leader-election.ts';
import { createLifecycle, type Ending, type Lifecycle } from './lifecycle.ts';
import { openManifestCache } from './manifest/cache.ts';
import { collectMetrics } from './observability/collect-metrics.ts';
import { type Connectivity, createConnectivity } from './observability/connectivity.ts';
import { type HealthServer, startHealthServer } from './observability/http-server.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { agentTraces } from './observability/tracing.ts';
import type { AgentOptions } from './options.ts';
import type { StackStore } from './reconcile/stack-store.ts';
import { createStackParts, type StackParts } from './stack-parts.ts';
import { prepare, probe, registerGenerators } from './startup.ts';

export type { AgentOptions } from './options.ts';

export interface RunningAgent {
  /** Base URL of /healthz, /readyz and /metrics. */
  readonly healthUrl: string;
  /** Settles when the agent has ended; never rejects. */
  readonly ended: Promise<Ending>;
  /** Finishes or safely abandons what is under way, and ends; within 5 s. May be called again. */
  close(): Promise<void>;
  /**
   * Takes another configuration, as far as that is possible without a restart. One that cannot be used is refused as a whole, and
   * logged.
   */
  reload(read: () => Config): void;
}

type Parts = StackParts & BrokerParts;

const slowRetryMs = 60_000;
const passGraceMs = 1_500;
const flushMs = 1_000;
/** The version of this program. */
export const { version } = manifest;

/**
 * Starts an agent. Returns as soon as its health endpoint is up; the agent goes on trying while the broker or the cluster cannot be
 * reached. Throws one clear line, with nothing left open, when the kubeconfig, the state folder, a certificate or the port cannot be
 * used.
 */
export async function startAgent(config: Config, options: AgentOptions): Promise<RunningAgent> {
  const { log, signal } = options;
  signal?.throwIfAborted();
  const settings = holdConfig(config, log);
  const running: { parts?: Parts } = {};
  const resources = new AsyncDisposableStack();
  try {
    const { context, health, stop } = await openContext(config, options, settings.current, running, resources);
    const { lifecycle } = context;
    const onAbort = () => void lifecycle.close();
    signal?.addEventListener('abort', onAbort, { once: true });
    void lifecycle.ended.then(() => signal?.removeEventListener('abort', onAbort));
    const done = run(context, running, resources).catch((error: unknown) => {
      if (context.signal.aborted) return;
      log.fatal({ err: error }, 'the agent failed in an unexpected way');
      void lifecycle.close();
    });
    resources.defer(async () => {
      stop();
      await done;
    });
    if (signal?.aborted) onAbort();
    return { healthUrl: health.url, ended: lifecycle.ended, close: lifecycle.close, reload: settings.reload };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}

/** Opens, in this order, what the agent needs from the beginning; `resources` closes it in the reverse order. */
async function openContext(
  config: Config,
  options: AgentOptions,
  settings: () => Config,
  running: { readonly parts?: Parts },
  resources: AsyncDisposableStack,
) {
  const { log } = options;
  const stopping = new AbortController();
  const connectivity = createConnectivity();
  const metrics = createMetrics({ process: options.processMetrics ?? false, version });
  const lifecycle = createLifecycle({ dispose: () => resources.disposeAsync(), connectivity, log });
  const connections = openConnections({
    config,
    version,
    observe: (method, status, seconds) => metrics.requests.observe({ method, status: String(status) }, seconds),
    defectFound: (method, defect) => {
      metrics.defects.inc({ method });
      options.log.error(
        { method, err: defect.stack ?? defect.message },
        'a call to the broker failed by a defect of the agent',
      );
    },
    clusterAnswered: connectivity.clusterAnswered,
  });
  resources.defer(() => connections.close());
  const election = connections.leases && joinElection(connections.leases, config, options);
  const manifests = await openManifestCache(config.stateDir);
  resources.defer(() => manifests.close());
  const observed = { metrics, connectivity, election, running };
  const health = await serveHealth(config, observed);
  resources.defer(() => health.close());
  if (election) resources.defer(() => election.release());
  const context: AgentContext = {
    config,
    settings,
    options,
    version,
    lifecycle,
    signal: stopping.signal,
    connections,
    election,
    manifests,
    connectivity,
    metrics,
    traces: agentTraces(options.tracing),
  };
  return { context, health, stop: () => stopping.abort(new Error('the agent stops')) };
}

interface Observed {
  readonly metrics: Metrics;
  readonly connectivity: Connectivity;
  readonly election: LeaderElection | undefined;
  readonly running: { readonly parts?: Parts };
}

function serveHealth(
  { healthListen }: Config,
  { metrics, connectivity, election, running }: Observed,
): Promise<HealthServer> {
  return startHealthServer({
    listen: healthListen,
    readiness: () => ({
      broker: connectivity.broker,
      cluster: connectivity.cluster,
      standby: election && !election.isLeading && election.leader !== '' ? election.leader : undefined,
    }),
    metrics: async () => {
      collectMetrics(metrics, connectivity, running.parts);
      metrics.leads.set(Number(election?.isLeading ?? true));
      return { text: await metrics.text(), contentType: metrics.contentType };
    },
  });
}

function joinElection(cluster: Cluster, { namespace }: Config, { election: times, log }: AgentOptions): LeaderElection {
  return createLeaderElection({
    cluster,
    namespace,
    holder: `${hostname()}_${process.pid}_${randomUUID().slice(0, 8)}`,
    ...(times && { times }),
    onError: (reason) => log.warn({ reason }, 'the lease cannot be asked for'),
  });
}

/** Prepares the agent, announces it to the broker, and runs its parts until it ends. */
async function run(context: AgentContext, running: { parts?: Parts }, resources: AsyncDisposableStack): Promise<void> {
  const { connections, connectivity, lifecycle, options, signal } = context;
  const { log } = options;
  const broker = createBrokerClient(connections.broker, lifecycle.fenced);
  const prepared = await prepare(context);
  if (!prepared || resources.disposed) return;
  const stackParts = createStackParts(context, broker, prepared);
  resources.defer(() => drain(lifecycle, stackParts));
  const start = announcement(context, broker, prepared.identity, stackParts.stacks);
  const handshake = {
    log,
    answered: connectivity.brokerAnswered,
    failed: connectivity.brokerFailed,
    longestMs: options.retry?.maxMs ?? slowRetryMs,
  };
  if (!(await startWithRetry(start, prepared.identity, handshake, signal))) return;
  const reannounce = createReannouncer(start, log);
  const parts = { ...stackParts, ...createBrokerParts(context, broker, stackParts, reannounce) };
  running.parts = parts;
  await Promise.all([
    parts.puller.run(signal),
    parts.session.run(signal),
    parts.diagnosticWorker.run(signal),
    parts.eventReporter.run(signal),
    parts.healthReporter.run(signal),
    parts.clusterState.run(signal),
    parts.telemetry.run(signal),
    registerGenerators(context, broker),
    probe(context),
  ]);
}

function announcement(
  { traces, signal }: AgentContext,
  broker: BrokerClient,
  identity: Identity,
  stacks: StackStore,
): Start {
  return async () => {
    const started = await broker.start(identity, { stacks: stacks.held(), epoch: stacks.epoch }, signal);
    traces.named(started.name);
    return started;
  };
}

/** Gives running passes a moment to reach a safe point, and reports what they did, unless another agent may act by now. */
async function drain(lifecycle: Lifecycle, { reconciler, eventReporter }: StackParts): Promise<void> {
  await reconciler.close(lifecycle.mayFinish ? passGraceMs : 0);
  if (lifecycle.mayFinish && eventReporter.pending > 0) await eventReporter.flush(flushMs);
}

/** Keeps the configuration that was read last. */
function holdConfig(config: Config, log: Logger): { current: () => Config; reload: RunningAgent['reload'] } {
  let current = config;
  return {
    current: () => current,
    reload(read) {
      const next = reloadConfig(current, read, fixed, log);
      if (!next) return;
      if (next.logLevel !== current.logLevel) log.level = next.logLevel;
      current = next;
    },
  };
}
