import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import type { ConnectRouter, MethodImpl, ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import type { Logger } from 'pino';
import { Registry as Metrics } from 'prom-client';
import { AdminService, file_brokkr_v1_admin } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService, file_brokkr_v1_agent } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService, file_brokkr_v1_broker } from '../gen/brokkr/v1/broker_pb.ts';
import { file_google_rpc_error_details } from '../gen/google/rpc/error_details_pb.ts';
import { file_grpc_health_v1_health, Health } from '../gen/grpc/health/v1/health_pb.ts';
import { file_grpc_reflection_v1_reflection, ServerReflection } from '../gen/grpc/reflection/v1/reflection_pb.ts';
import {
  file_grpc_reflection_v1alpha_reflection,
  ServerReflection as ServerReflectionAlpha,
} from '../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { createKeys } from './access/keys.ts';
import { firstAdminPak } from './access/mint.ts';
import { keyMethods, ownKeyMethods } from './access/service.ts';
import { enrollMethods, enrollmentMethods } from './agent/enrollment-service.ts';
import { createHeartbeats } from './agent/heartbeats.ts';
import { selfMethods } from './agent/self-service.ts';
import { agentMethods, placeableAgentMethods } from './agent/service.ts';
import { createDenials } from './audit/denials.ts';
import { startSealer } from './audit/seal.ts';
import { auditMethods } from './audit/service.ts';
import { type Config, hostOf } from './config.ts';
import { createParser } from './deployment/parser.ts';
import { deploymentMethods } from './deployment/service.ts';
import { createDiagnosticNews } from './diagnostic/news.ts';
import { answerMethods, diagnosticMethods } from './diagnostic/service.ts';
import { eventMethods, reportMethods } from './event/service.ts';
import { createFleetBoard } from './fleet/board.ts';
import { fleetMethods } from './fleet/service.ts';
import { fleetWatchMethods } from './fleet/watch.ts';
import { consentMethods, registrationMethods } from './generator/registration-service.ts';
import { generatorMethods } from './generator/service.ts';
import { healthMethods, healthReportMethods } from './health/service.ts';
import { startJobs } from './jobs/jobs.ts';
import { openMetricsPort } from './metrics.ts';
import { placementMethods, removalMethods } from './placement/service.ts';
import { Refusal } from './refusal.ts';
import { readCertificates, watchCertificates } from './rpc/certificates.ts';
import { builtConsole, consoleHandler, readConsole } from './rpc/console.ts';
import { deadlineInterceptor } from './rpc/deadline.ts';
import { errorInterceptor } from './rpc/errors.ts';
import { fairnessInterceptor } from './rpc/fairness.ts';
import { createGate, denialInterceptor } from './rpc/gate.ts';
import { healthMethods as healthCheckMethods } from './rpc/health.ts';
import { metricsInterceptor } from './rpc/metrics.ts';
import { corsHandler, probeHandler, withoutJsonInGrpc } from './rpc/pages.ts';
import { openPort } from './rpc/port.ts';
import { reflectionMethods } from './rpc/reflection.ts';
import { noteSource } from './rpc/source.ts';
import { validationInterceptor } from './rpc/validation.ts';
import { stackMethods } from './stack/service.ts';
import { watchMethods } from './stack/watch.ts';
import { openStore } from './store/open.ts';
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
  /** Where the console was built; default: where `npm run console` builds it. */
  readonly consoleFolder?: string;
}

export interface RunningBroker {
  /** `http://127.0.0.1:3000`, or `https://…` with TLS. */
  readonly url: string;
  readonly port: number;
  /** `http://127.0.0.1:9090/metrics` */
  readonly metricsUrl: string;
  /** Tells streams to go elsewhere, lets calls finish for `graceMs` (default 3 s), then ends everything. */
  close(graceMs?: number): Promise<void>;
}

const services = [BrokerService, AgentService, AdminService] as const;
const requestBytes = 1 << 20;
/** 8 MiB of manifest, and its envelope. */
const submissionBytes = (8 << 20) + (64 << 10);
const answerBytes = 4 << 20;
/** For each part of a broker that closes. */
const closeMs = 5_000;
/** A manifest of 8 MiB with the names of its objects, or the changes of as many objects, must be readable. */
const manifestAnswerBytes = 16 << 20;
const manifestMethods = new Set(['SubmitDeployment', 'GetDeployment']);

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
    const keys = createKeys(db, feed, log, now);
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
      db,
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
    const handler = connectNodeAdapter({
      // Compression costs ten times what it saves on small messages; requests may not use it to grow past the limits.
      acceptCompression: [],
      writeMaxBytes: answerBytes,
      contextValues: noteSource(config.trustedProxies),
      requestGate: createGate(keys, denials, log),
      // The order counts: what is inner is measured, timed and has its errors told by what is outer.
      interceptors: [
        metricsInterceptor(metrics),
        errorInterceptor(log),
        deadlineInterceptor(),
        denialInterceptor(denials),
        validationInterceptor(),
        fairnessInterceptor(metrics),
      ],
      routes: (router) => {
        addService(router, BrokerService, implementations.broker);
        addService(router, AgentService, implementations.agent);
        addService(router, AdminService, implementations.admin);
        addOpenServices(router, feed.available, closing.signal);
      },
      fallback: probeHandler(feed.available, consoleHandler(readConsole(options.consoleFolder ?? builtConsole))),
    });
    const { tls } = config;
    const port = await openPort({
      ...config.listen,
      handler: corsHandler(withoutJsonInGrpc(handler), config.corsOrigins),
      tls: tls && readCertificates(tls),
      streamsRequests: (path) => requestStreams.has(path),
    });
    stack.defer(() => port.close(0));
    if (tls) stack.defer(watchCertificates(tls, log, port.renew));
    const metricsPort = await openMetricsPort(config.metricsListen, metrics, { db, feed, jobs });
    stack.defer(() => metricsPort.close());
    const url = `${tls ? 'https' : 'http'}://${hostOf(config.listen.host)}:${port.port}`;
    log.info({ url, metricsUrl: metricsPort.url }, 'the broker is ready');
    const rest = stack.move();
    let ended: Promise<void> | undefined;
    return {
      url,
      port: port.port,
      metricsUrl: metricsPort.url,
      close: (graceMs = 3_000) =>
        (ended ??= (async () => {
          closing.abort(new Refusal('unavailable', 'the broker is closing: connect again'));
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

/** Paths of the calls whose requests come for as long as the call lasts. */
const requestStreams: ReadonlySet<string> = new Set(
  [...services, Health, ServerReflection, ServerReflectionAlpha].flatMap(({ typeName, methods }) =>
    methods
      .filter(({ methodKind }) => methodKind === 'client_streaming' || methodKind === 'bidi_streaming')
      .map(({ name }) => `/${typeName}/${name}`),
  ),
);

/** Adds a service's methods, each with its own limit of what it reads and answers. */
function addService<S extends DescService>(router: ConnectRouter, service: S, implementation: ServiceImpl<S>): void {
  for (const method of service.methods as readonly DescMethod[]) {
    const implemented = implementation[method.localName as keyof ServiceImpl<S>] as MethodImpl<DescMethod>;
    router.rpc(method, implemented, {
      readMaxBytes: method.name === 'SubmitDeployment' ? submissionBytes : requestBytes,
      ...(manifestMethods.has(method.name) && { writeMaxBytes: manifestAnswerBytes }),
    });
  }
}

/** The protocol's own services: health and reflection. */
function addOpenServices(router: ConnectRouter, ready: () => boolean, closing: AbortSignal): void {
  const all = [...services, Health, ServerReflection, ServerReflectionAlpha];
  const files = [
    file_brokkr_v1_broker,
    file_brokkr_v1_agent,
    file_brokkr_v1_admin,
    file_google_rpc_error_details,
    file_grpc_health_v1_health,
    file_grpc_reflection_v1_reflection,
    file_grpc_reflection_v1alpha_reflection,
    file_buf_validate_validate,
  ];
  const names = services.map(({ typeName }) => typeName);
  const reflection = reflectionMethods(files, all);
  router.service(Health, healthCheckMethods(names, ready, closing), { readMaxBytes: 64 << 10 });
  router.service(ServerReflection, reflection, { readMaxBytes: 64 << 10 });
  // Both versions have the same messages, but for the package in their names.
  router.service(ServerReflectionAlpha, reflection as never, { readMaxBytes: 64 << 10 });
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
