import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Tracing } from '../client/trace.ts';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import type { Methods } from './methods.ts';
import type { Parts } from './parts.ts';
import type { LiveConfig } from './reload.ts';
import { fairnessInterceptor } from './rpc/admission/fairness.ts';
import { createRequestBudget } from './rpc/admission/request-budget.ts';
import { createGrpcHandler, type StreamHandler } from './rpc/grpc/handler.ts';
import { callContextHandler } from './rpc/http/call-context.ts';
import { createConnectHandler } from './rpc/http/connect.ts';
import { consoleHandler, readConsole } from './rpc/http/console.ts';
import { corsHandler } from './rpc/http/cors.ts';
import { rejectGrpcJson } from './rpc/http/grpc-json.ts';
import type { Handler } from './rpc/http/port.ts';
import { probeHandler } from './rpc/http/probes.ts';
import { createAuthenticator, denialInterceptor } from './rpc/interceptors/authenticate.ts';
import { callLogInterceptor } from './rpc/interceptors/call-log.ts';
import { deadlineInterceptor } from './rpc/interceptors/deadline.ts';
import { errorInterceptor } from './rpc/interceptors/errors.ts';
import { keyRevocationInterceptor } from './rpc/interceptors/key-revocation.ts';
import { traceInterceptor } from './rpc/interceptors/traces.ts';
import { validationInterceptor } from './rpc/interceptors/validation.ts';
import { createOriginResolver } from './rpc/origin.ts';
import { methodsOf, standardMethods } from './rpc/services.ts';

export interface HandlerOptions {
  readonly parts: Pick<Parts, 'calls' | 'denials' | 'keys' | 'limiter'>;
  readonly methods: Methods;
  readonly live: LiveConfig;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly tracing: Tracing | undefined;
  /** The folder of the built console. */
  readonly consoleFolder: string;
  /** Answers whether the database is available. */
  readonly ready: () => boolean;
  readonly closing: AbortSignal;
}

/** The handlers of the broker's port. */
export interface Handlers {
  /** Serves native gRPC. */
  readonly serveStream: StreamHandler;
  /** Serves all other protocols, probes and the console. */
  readonly handler: Handler;
}

/** Creates the handlers of the broker's port. All protocols share one table of methods and one list of checks. */
export function createHandlers(options: HandlerOptions): Handlers {
  const { live, ready } = options;
  const rpc = createRpc(options);
  const fallback = probeHandler(ready, consoleHandler(readConsole(options.consoleFolder)));
  const guarded = rejectGrpcJson(createConnectHandler(rpc, fallback));
  return {
    serveStream: createGrpcHandler(rpc),
    handler: callContextHandler(corsHandler(guarded, () => live.config.corsOrigins)),
  };
}

function createRpc({ parts, methods, live, log, ready, closing, ...options }: HandlerOptions) {
  return {
    log,
    methods: [
      ...methodsOf(BrokerService, methods.broker),
      ...methodsOf(AgentService, methods.agent),
      ...methodsOf(AdminService, methods.admin),
      ...standardMethods(ready, closing),
    ],
    requests: createRequestBudget(() => live.config.memoryBytes),
    originOf: createOriginResolver(() => live.config.trustedProxies),
    authenticate: createAuthenticator({ ...parts, log, metrics: parts.calls }),
    // The outer interceptors measure, log and time the inner ones, and translate their errors.
    interceptors: [
      parts.calls.interceptor,
      ...(options.tracing ? [traceInterceptor(options.tracing)] : []),
      callLogInterceptor(log),
      errorInterceptor(log),
      deadlineInterceptor(),
      denialInterceptor(parts.denials),
      validationInterceptor(),
      fairnessInterceptor(options.metrics, () => live.config.limits),
      keyRevocationInterceptor(),
    ],
  };
}
