// Over 300 lines: one agent is put together, started and ended in one place, and every part of it is closed there
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { connectBroker } from '../client/client.ts';
import { reloadConfig } from '../client/reload.ts';
import type { Tracing } from '../client/trace.ts';
import manifest from '../package.json' with { type: 'json' };
import { createWire } from './broker/client.ts';
import { createDiagnostician } from './broker/diagnostic-worker.ts';
import { enroll } from './broker/enroll.ts';
import { obtainKey } from './broker/enrollment.ts';
import { BrokerError } from './broker/error.ts';
import { createReporter } from './broker/event-reporter.ts';
import { createReannouncer, startWithRetry } from './broker/handshake.ts';
import { createHealthReporter } from './broker/health-reporter.ts';
import { createPuller } from './broker/puller.ts';
import { createSession } from './broker/session.ts';
import { createClusterState } from './cache/cluster-state.ts';
import type { Backoff } from './concurrency/backoff.ts';
import { type Config, fixed } from './config.ts';
import { DiagnosisError, diagnose } from './diagnostic/collect.ts';
import { createInventories } from './inventory/inventory.ts';
import { createOwnership } from './inventory/object-owners.ts';
import { createOrphanDiscovery } from './inventory/orphan-discovery.ts';
import { connectCluster } from './kube/client.ts';
import type { KubeSource } from './kube/kubeconfig.ts';
import { createLeaderElection, type ElectionTimes } from './kube/leader-election.ts';
import { type ManifestStore, openManifestStore } from './manifest/cache.ts';
import { measure, type Parts } from './observability/collect-metrics.ts';
import { createConnectivity } from './observability/connectivity.ts';
import { type HealthServer, startHealthServer } from './observability/http-server.ts';
import { createMetrics } from './observability/metrics.ts';
import { agentTraces } from './observability/tracing.ts';
import { createReconciler, type Reconciler } from './reconcile/reconciler.ts';
import { consent, identify, probe, untilDone } from './startup.ts';
import { createTelemetry, type TelemetryLimits } from './telemetry/telemetry.ts';

export interface AgentOptions {
  readonly log: Logger;
  /** Closes the agent when aborted. */
  readonly signal?: AbortSignal;
  /** Between tries of what failed, towards the cluster and the broker; default 1 s growing to 60 s, and 0.5 s to 30 s. */
  readonly retry?: Backoff;
  /** How often stacks that are as they should be are looked at again; default 10 minutes. */
  readonly resyncMs?: number;
  /** Of what is told of the cluster's own words. */
  readonly telemetry?: TelemetryLimits;
  /** Of the election among several agents. */
  readonly election?: Partial<ElectionTimes>;
  /** Whether /metrics also has the process's own figures; for one agent a process. */
  readonly processMetrics?: boolean;
  /** Takes the steps of traces; the caller closes it. */
  readonly tracing?: Tracing | undefined;
}

export interface RunningAgent {
  /** Where /healthz, /readyz and /metrics are. */
  readonly healthUrl: string;
  /**
   * Settles when the agent has ended: `fenced` when another one has started with its key, `deposed` when it could not go on leading.
   * Never rejects.
   */
  readonly ended: Promise<'closed' | 'fenced' | 'deposed'>;
  /** Finishes or safely abandons what is under way, and ends; within 5 s. May be called again. */
  close(): Promise<void>;
  /** Takes another configuration, as far as it can without a restart; what cannot be used is refused as a whole, and told to the log. */
  reload(read: () => Config): void;
}

const slowRetryMs = 60_000;
const requestTimeoutMs = 30_000;
const requestConcurrency = 64;
const leaseConcurrency = 2;
const telemetryConcurrency = 4;
const passGraceMs = 1_500;
const flushMs = 1_000;
/** Of this program. */
export const { version } = manifest;

/**
 * Starts an agent: it answers as soon as its health endpoint is up, and goes on trying when the broker or the cluster cannot be
 * reached. Throws one clear line when the kubeconfig, the state folder, a certificate or the port cannot be used.
 */
export async function startAgent(config: Config, options: AgentOptions): Promise<RunningAgent> {
  const { log, signal } = options;
  signal?.throwIfAborted();
  let live = config;
  const traces = agentTraces(options.tracing);
  const metrics = createMetrics({ process: options.processMetrics ?? false, version });
  const connectivity = createConnectivity();
  const connect = (concurrency: number, answered: (status: number) => void = connectivity.clusterAnswered) =>
    connectCluster(kubeSource(config), {
      timeoutMs: requestTimeoutMs,
      concurrency,
      userAgent: `brokkr-agent/${version}`,
      observe: (method, status, seconds) => {
        metrics.requests.observe({ method, status: String(status) }, seconds);
        answered(status);
      },
    });
  const cluster = connect(requestConcurrency);
  // Of its own: passes that wait for slow webhooks must not keep the lease from being renewed.
  const leases = config.election ? connect(leaseConcurrency) : undefined;
  // Likewise: what is asked for telemetry takes no place of what passes ask, and says nothing about the cluster when it fails.
  const observed = connect(telemetryConcurrency, () => {});
  let { pak } = config;
  const client = connectBroker({ url: config.brokerUrl, pak: () => pak, ...config.tls });
  const stopping = new AbortController();
  const election = leases
    ? createLeaderElection({
        cluster: leases,
        namespace: config.namespace,
        holder: `${hostname()}_${process.pid}_${randomUUID().slice(0, 8)}`,
        ...(options.election && { times: options.election }),
        onError: (reason) => log.warn({ reason }, 'the lease cannot be asked for'),
      })
    : undefined;
  let parts: Parts | undefined;
  let manifests: ManifestStore | undefined;
  let health: HealthServer | undefined;
  try {
    manifests = await openManifestStore(config.stateDir);
    health = await startHealthServer({
      listen: config.healthListen,
      readiness: () => {
        const isStandby = election !== undefined && !election.isLeading && election.leader !== '';
        return {
          broker: connectivity.broker,
          cluster: connectivity.cluster,
          standby: isStandby ? election.leader : undefined,
        };
      },
      metrics: async () => {
        measure(metrics, connectivity, parts);
        metrics.leads.set(Number(election?.isLeading ?? true));
        return { text: await metrics.text(), contentType: metrics.contentType };
      },
    });
  } catch (error) {
    await manifests?.close();
    cluster.close();
    observed.close();
    leases?.close();
    client.close();
    throw error;
  }
  const store = manifests;
  const server = health;
  let isFenced = false;
  let isDeposed = false;
  const deposed = () => {
    if (stopping.signal.aborted) return;
    isDeposed = true;
    log.error({}, 'the lease could not be renewed: another agent may lead soon; this one stops');
    void close();
  };
  const fenced = (reason: string) => {
    if (isFenced || stopping.signal.aborted) return;
    isFenced = true;
    log.error({ reason }, 'fenced: another agent runs with this key; this one stops');
    connectivity.brokerFailed('another agent runs with this key');
    void close();
  };

  const run = async () => {
    const wire = createWire(client);
    const during = stopping.signal;
    const identity = await untilDone(
      during,
      log,
      'the cluster is not ready',
      (reason) => connectivity.clusterFailed(reason),
      () => identify(cluster, config, version, connectivity, during),
    );
    if (!identity) return;
    if (election) {
      log.info({}, 'waiting for the lease');
      if (!(await election.acquire(during))) return;
      log.info({ holder: election.leader }, 'this agent leads');
      void election.holdLease(during).then((how) => how === 'lost' && deposed());
    }
    pak ??= await untilDone(
      during,
      log,
      'there is no key yet',
      (reason) => connectivity.brokerFailed(reason),
      () =>
        obtainKey(
          {
            cluster,
            namespace: config.namespace,
            enrollment: config.enrollment,
            enroll: (...call) => enroll(config, ...call),
          },
          during,
        ),
    );
    if (pak === undefined) return;
    const inventories = createInventories(cluster, config.namespace);
    const loaded = await untilDone(
      during,
      log,
      'the inventory cannot be read',
      (reason) => connectivity.clusterFailed(reason),
      () => inventories.loadAll(during),
    );
    if (!loaded) return;
    const reporter = createReporter({
      wire,
      log,
      lost: (stackId) => reconciler.resendEvent(stackId),
      count: (receipt) => metrics.events.inc({ receipt }),
      fenced,
    });
    const clusterState = createClusterState({
      cluster,
      watchNamespace: config.watchNamespace,
      log,
      outage: () => (connectivity.cluster.ready ? undefined : connectivity.cluster.reason),
      enqueue: (stackId) => reconciler.enqueue(stackId),
      healthChanged: (stackId) => {
        healthReporter.changed(stackId);
        reconciler.healthChanged(stackId);
      },
      applied: (seconds) => metrics.applies.observe(seconds),
    });
    const healthReporter = createHealthReporter({ wire, log, healthOf: clusterState.keeper.healthOf, fenced });
    const ownership = createOwnership();
    const reconciler: Reconciler = createReconciler({
      context: {
        objectCache: clusterState.objectCache,
        cluster,
        inventories,
        ownership,
        orphanDiscovery: createOrphanDiscovery(cluster, config.watchNamespace, during),
        scope: { defaultNamespace: config.watchNamespace ?? 'default', watchNamespace: config.watchNamespace },
        get maxDeletions() {
          return live.maxDeletions;
        },
        readManifest: store.read,
      },
      inventories: loaded,
      report: (event) => {
        if (event.outcome === 'repaired' || event.outcome === 'drifted')
          metrics.drift.inc({ outcome: event.outcome }, event.changes.length);
        reporter.report(event);
      },
      observePass: (outcome, seconds, fresh) => {
        metrics.passes.observe({ outcome }, seconds);
        if (fresh) traces.passed(fresh, outcome, seconds);
      },
      overtaken: () => puller.pullFull(),
      log,
      ...(options.retry && { retry: options.retry }),
      ...(options.resyncMs !== undefined && { resyncMs: options.resyncMs }),
    });
    const start = async () => {
      const answer = await wire.start(identity, { stacks: reconciler.held(), epoch: reconciler.epoch }, during);
      traces.named(answer.name);
      return answer;
    };
    const longestMs = options.retry?.maxMs ?? slowRetryMs;
    if (!(await startWithRetry(start, identity, { connectivity, log, longestMs }, during))) return reconciler.close(0);
    const doubt = createReannouncer(start, log);
    const puller = createPuller({
      wire,
      manifests: store,
      log,
      intervalMs: () => live.pullIntervalMs,
      received: traces.received,
      accept: (state) => {
        const verdict = reconciler.accept(state);
        if (verdict === 'old')
          throw new BrokerError('unavailable', `the broker is in epoch ${state.epoch}, which is over`, undefined);
        if (verdict === 'doubtful') doubt();
      },
      arrived: reconciler.manifestArrived,
      seen: () => ({ epoch: reconciler.epoch, order: reconciler.order }),
      isHinted: () => session.isUp,
      observe: (result, reason) => {
        metrics.pulls.inc({ result });
        if (result === 'failed') connectivity.brokerFailed(reason ?? '');
        else connectivity.brokerAnswered();
      },
      fenced,
    });
    const diagnostician = createDiagnostician({
      wire,
      log,
      intervalMs: config.pullIntervalMs,
      diagnose: (question, signal) => {
        const entry = reconciler.entryOf(question.stackId);
        if (!entry) throw new DiagnosisError('this agent does not serve the stack');
        // What is shown to a tenant is what its own account may see.
        const as = entry.serviceAccount === '' ? cluster : cluster.impersonate(entry.serviceAccount);
        return diagnose({ cluster: as, inventories }, question, signal);
      },
      fenced,
    });
    const telemetry = createTelemetry({
      level: config.telemetry,
      cluster: observed,
      namespace: config.watchNamespace ?? '',
      ownership,
      accountOf: (stackId) => reconciler.entryOf(stackId)?.serviceAccount ?? '',
      stackIds: clusterState.objectCache.stackIds,
      log,
      ...(options.retry && { retry: options.retry }),
      ...(options.telemetry && { limits: options.telemetry }),
    });
    const session = createSession({
      client,
      wire,
      log,
      cluster: () => ({ reachable: connectivity.cluster.ready, latencyMs: connectivity.clusterLatencyMs }),
      telemetry: telemetry.outbox,
      wake: puller.wake,
      cameUp: healthReporter.resend,
      asked: diagnostician.wake,
      fenced,
    });
    parts = { reconciler, reporter, session, puller, clusterState, healthReporter, telemetry };
    await Promise.all([
      puller.run(during),
      session.run(during),
      diagnostician.run(during),
      reporter.run(reporting.signal),
      healthReporter.run(during),
      clusterState.run(during),
      telemetry.run(during),
      consent(wire, config.generators, log, during),
      probe(cluster, connectivity, during),
    ]);
  };

  // Reports go on for a moment longer than the rest: what the last passes did is to be told.
  const reporting = new AbortController();
  const end = async () => {
    const grace = isFenced || isDeposed ? 0 : passGraceMs;
    await parts?.reconciler.close(grace);
    if (grace > 0 && parts?.reporter.pending) await parts.reporter.flush(flushMs);
    stopping.abort(new Error('the agent stops'));
    reporting.abort(new Error('the agent stops'));
    await running;
    await election?.release();
    client.close();
    cluster.close();
    observed.close();
    leases?.close();
    await server.close();
    await store.close();
    signal?.removeEventListener('abort', onAbort);
  };
  let ending: Promise<void> | undefined;
  const ended = Promise.withResolvers<'closed' | 'fenced' | 'deposed'>();
  const close = () => {
    ending ??= end().finally(() => ended.resolve(isFenced ? 'fenced' : isDeposed ? 'deposed' : 'closed'));
    return ending;
  };
  const onAbort = () => void close();
  signal?.addEventListener('abort', onAbort, { once: true });
  const running = run().catch((error: unknown) => {
    if (stopping.signal.aborted) return;
    log.fatal({ err: error }, 'the agent failed in an unexpected way');
    void close();
  });
  const reload = (read: () => Config) => {
    const next = reloadConfig(live, read, fixed, log);
    if (!next) return;
    if (next.logLevel !== live.logLevel) log.level = next.logLevel;
    live = next;
  };
  return { healthUrl: server.url, ended: ended.promise, close, reload };
}

function kubeSource({ kubeconfigFile, kubeContext, kubeService }: Config): KubeSource {
  return kubeconfigFile === undefined ? { service: kubeService } : { file: kubeconfigFile, context: kubeContext };
}
