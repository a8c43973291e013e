import type { ServiceImpl } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { Registry as Metrics } from 'prom-client';
import { reachableHost } from '../client/settings.ts';
import type { Tracing } from '../client/trace.ts';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import { firstAdminPak } from './access/issue.ts';
import { createKeys } from './access/keys.ts';
import { keyMethods, ownKeyMethods } from './access/service.ts';
import { enrollMethods, enrollmentMethods } from './agent/enrollment-service.ts';
import { createHeartbeats } from './agent/heartbeats.ts';
import { selfMethods } from './agent/self-service.ts';
import { agentMethods, placeableAgentMethods } from './agent/service.ts';
import { createDenials } from './audit/denials.ts';
import { startSealer } from './audit/seal.ts';
import { auditMethods } from './audit/service.ts';
import type { Config } from './config.ts';
import { createParser } from './deployment/parser.ts';
import { deploymentMethods } from './deployment/service.ts';
import { createDiagnosticNews } from './diagnostic/notifier.ts';
import { answerMethods, diagnosticMethods } from './diagnostic/service.ts';
import { eventMethods, reportMethods } from './event/service.ts';
import { createFigures } from './fleet/figures.ts';
import { createFleetBoard } from './fleet/fleet-cache.ts';
import { fleetMethods } from './fleet/service.ts';
import { fleetWatchMethods } from './fleet/watch.ts';
import { registerGauges } from './gauges.ts';
import { consentMethods, registrationMethods } from './generator/registration-service.ts';
import { generatorMethods } from './generator/service.ts';
import { healthMethods, healthReportMethods } from './health/service.ts';
import { startJobs } from './jobs/jobs.ts';
import { openMetricsPort } from './metrics.ts';
import { openStore } from './open-store.ts';
import { placementMethods, removalMethods } from './placement/service.ts';
import { closingRefusal } from './refusal.ts';
import { holdConfig } from './reload.ts';
import { createConcurrencyLimiter } from './rpc/admission/concurrency-limiter.ts';
import { createFairDatabase } from './rpc/admission/fair-database.ts';
import { fairnessInterceptor } from './rpc/admission/fairness.ts';
import { createGrpcHandler } from './rpc/grpc/handler.ts';
import { callContextHandler } from './rpc/http/call-context.ts';
import { readCertificates, watchCertificates } from './rpc/http/certificates.ts';
import { createConnectHandler } from './rpc/http/connect.ts';
import { builtConsole, consoleHandler, readConsole } from './rpc/http/console.ts';
import { corsHandler } from './rpc/http/cors.ts';
import { rejectGrpcJson } from './rpc/http/grpc-json.ts';
import { openPort } from './rpc/http/port.ts';
import { probeHandler } from './rpc/http/probes.ts';
import { createAuthenticator, denialInterceptor } from './rpc/interceptors/authenticate.ts';
import { callLogInterceptor } from './rpc/interceptors/call-log.ts';
import { deadlineInterceptor } from './rpc/interceptors/deadline.ts';
import { errorInterceptor } from './rpc/interceptors/errors.ts';
import { keyRevocationInterceptor } from './rpc/interceptors/key-revocation.ts';
import { callMetrics } from './rpc/interceptors/metrics.ts';
import { traceInterceptor } from './rpc/interceptors/traces.ts';
import { validationInterceptor } from './rpc/interceptors/validation.ts';
import { createOriginResolver } from './rpc/origin.ts';
import { clientStreamingPaths, methodsOf, standardMethods } from './rpc/services.ts';
import { stackMethods } from './stack/service.ts';
import { watchMethods } from './stack/watch.ts';
import { createTargetStates } from './target/cache.ts';
import { targetMethods } from './target/service.ts';
import { sessionMethods } from './target/session.ts';
import { createIntake } from './telemetry/intake.ts';
import { telemetryMethods } from './telemetry/service.ts';
import { tailMethods } from './telemetry/watch.ts';

export interface BrokerOptions {
  readonly log: Logger;
  /** Gets the first admin key of a new installation; when it rejects, the broker does not start and no key was made. */
  readonly deliverAdminPak: (pak: string) => Promise<void>;
  /** Takes the steps of traces; the caller closes it. */
  readonly tracing?: Tracing | undefined;
  /** Where the console was built; default: where `npm run console` builds it. */
  readonly consoleFolder?: string;
}

export interface RunningBroker {
  /** `http://127.0.0.1:3000`, or `https://…` with TLS. */
  readonly url: string;
  readonly port: number;
  /** `http://127.0.0.1:9090/metrics` */
  readonly metricsUrl: string;
  /** Takes another configuration, as far as it can without a restart; what cannot be used is refused as a whole, and told to the log. */
  reload(read: () => Config): void;
  /** Tells streams to go elsewhere, lets calls finish for `graceMs` (default 3 s), then ends everything. */
  close(graceMs?: number): Promise<void>;
}

/** For each part of a broker that closes. */
const closeMs = 5_000;

/**
 * Starts a broker: connects to the database and migrates it, then listens. Rejects, with nothing left open, when one of these
 * fails: the message says which.
 */
export async function startBroker(config: Config, options: BrokerOptions): Promise<RunningBroker> {
  const { log } = options;
  const stack = new AsyncDisposableStack();
  try {
    const closing = new AbortController();
    const { db, feed } = await openStore(config, log);
    stack.defer(() => within('db', db.close(), log));
    stack.defer(() => within('feed', feed.close(), log));
    await firstAdminPak(db, options.deliverAdminPak);
    const now = () => new Date();
    const metrics = new Metrics();
    const calls = callMetrics(metrics);
    const live = holdConfig(config, log);
    const limits = () => live.config.limits;
    const limiter = createConcurrencyLimiter(limits);
    const keys = createKeys(db, feed, log, now, calls.authFailed);
    stack.defer(() => within('keys', keys.close(), log));
    const heartbeats = createHeartbeats(db, log);
    stack.defer(() => within('heartbeats', heartbeats.close(), log));
    const parser = createParser(config.workers);
    stack.defer(() => within('parser', parser.close(), log));
    const targets = createTargetStates(db, feed, log);
    stack.defer(() => within('targets', targets.close(), log));
    const news = createDiagnosticNews(feed);
    stack.defer(() => within('news', news.close(), log));
    const board = createFleetBoard(db, feed, log);
    stack.defer(() => within('board', board.close(), log));
    const denials = createDenials(db, log, Date.now);
    stack.defer(() => within('denials', denials.close(), log));
    const sealer = startSealer(db, log);
    stack.defer(() => within('sealer', sealer.close(), log));
    const intake = createIntake(db, feed, log, metrics);
    stack.defer(() => within('intake', intake.close(), log));
    const jobs = startJobs(db, log, { telemetryMs: config.telemetryRetentionMs });
    stack.defer(() => within('jobs', jobs.close(), log));
    const deps = {
      db: createFairDatabase(db),
      feed,
      log,
      keys,
      now,
      parser,
      targets,
      heartbeats,
      news,
      board,
      intake,
      keepMs: config.telemetryRetentionMs,
      closing: closing.signal,
      version: config.version,
    };
    const implementations = {
      broker: {
        ...ownKeyMethods(deps),
        ...stackMethods(deps),
        ...deploymentMethods(deps),
        ...placeableAgentMethods(deps),
        ...placementMethods(deps),
        ...watchMethods(deps),
        ...eventMethods(deps),
        ...healthMethods(deps),
        ...diagnosticMethods(deps),
        ...telemetryMethods(deps),
        ...tailMethods(deps),
      } satisfies ServiceImpl<typeof BrokerService>,
      agent: {
        ...enrollMethods(deps),
        ...selfMethods({ ...deps, incarnationOf: targets.incarnationOf }),
        ...targetMethods(deps),
        ...reportMethods(deps),
        ...consentMethods(deps),
        ...sessionMethods(deps),
        ...healthReportMethods(deps),
        ...answerMethods({ ...deps, incarnationOf: targets.incarnationOf }),
      } satisfies ServiceImpl<typeof AgentService>,
      admin: {
        ...agentMethods(deps),
        ...enrollmentMethods(deps),
        ...removalMethods(deps),
        ...generatorMethods(deps),
        ...registrationMethods(deps),
        ...keyMethods(deps),
        ...auditMethods(deps),
        ...fleetMethods(deps),
        ...fleetWatchMethods(deps),
      } satisfies ServiceImpl<typeof AdminService>,
    };
    const methods = [
      ...methodsOf(BrokerService, implementations.broker),
      ...methodsOf(AgentService, implementations.agent),
      ...methodsOf(AdminService, implementations.admin),
      ...standardMethods(feed.available, closing.signal),
    ];
    const originOf = createOriginResolver(() => live.config.trustedProxies);
    const authenticate = createAuthenticator({ keys, limiter, denials, log, metrics: calls });
    // The order counts: what is inner is measured, timed and has its errors told by what is outer.
    const interceptors = [
      calls.interceptor,
      ...(options.tracing ? [traceInterceptor(options.tracing)] : []),
      callLogInterceptor(log),
      errorInterceptor(log),
      deadlineInterceptor(),
      denialInterceptor(denials),
      validationInterceptor(),
      fairnessInterceptor(metrics, limits),
      keyRevocationInterceptor(),
    ];
    const rpc = { methods, interceptors, authenticate, originOf, log };
    const fallback = probeHandler(feed.available, consoleHandler(readConsole(options.consoleFolder ?? builtConsole)));
    const { tls } = config;
    const port = await openPort({
      ...config.listen,
      handler: callContextHandler(
        corsHandler(rejectGrpcJson(createConnectHandler(rpc, fallback)), () => live.config.corsOrigins),
      ),
      serveStream: createGrpcHandler(rpc),
      tls: tls && readCertificates(tls),
      isClientStreaming: (path) => clientStreamingPaths.has(path),
    });
    stack.defer(() => port.close(0));
    const certificates = tls && watchCertificates(() => live.config.tls ?? tls, log, port.renew);
    stack.defer(() => certificates?.stop());
    registerGauges(metrics, {
      ...{ db, feed, jobs, parser, limiter, live },
      figures: createFigures(db),
      certificateEndsAt: () => certificates?.expiresAt(),
      version: config.version,
    });
    const metricsPort = await openMetricsPort(config.metricsListen, metrics);
    stack.defer(() => metricsPort.close());
    const url = `${tls ? 'https' : 'http'}://${reachableHost(config.listen.host)}:${port.port}`;
    log.info({ url, metricsUrl: metricsPort.url }, 'the broker is ready');
    const rest = stack.move();
    let ended: Promise<void> | undefined;
    return {
      url,
      port: port.port,
      metricsUrl: metricsPort.url,
      reload: (read) => {
        if (live.reload(read)) certificates?.check();
      },
      close: (graceMs = 3_000) =>
        (ended ??= (async () => {
          closing.abort(closingRefusal());
          await port.close(graceMs);
          await rest.disposeAsync();
          log.info('the broker has ended');
        })()),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** What does not close in time is left to the end of the process, and told: it must not keep everything else open. */
async function within(part: string, closing: unknown, log: Logger): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    log.warn({ part }, 'a part of the broker did not close in time');
    late.resolve();
  }, closeMs);
  await Promise.race([closing, late.promise]).finally(() => clearTimeout(timer));
}
