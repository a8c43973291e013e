import { connectNodeAdapter } from '@connectrpc/connect-node';
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
import { callContextHandler } from './rpc/http/call-context.ts';
import { handleClientAbort } from './rpc/http/client-abort.ts';
import { consoleHandler, readConsole } from './rpc/http/console.ts';
import { corsHandler } from './rpc/http/cors.ts';
import { rejectGrpcJson } from './rpc/http/grpc-json.ts';
import type { Handler } from './rpc/http/port.ts';
import { probeHandler } from './rpc/http/probes.ts';
import { createAuthenticator, denialInterceptor } from './rpc/interceptors/authenticate.ts';
import { callLogInterceptor } from './rpc/interceptors/call-log.ts';
import { deadlineInterceptor } from './rpc/interceptors/deadline.ts';
import { errorInterceptor } from './rpc/interceptors/errors.ts';
import { keyRevocationInterceptor, registerCancel } from './rpc/interceptors/key-revocation.ts';
import { refuseMalformedRequests } from './rpc/interceptors/malformed-request.ts';
import { traceInterceptor } from './rpc/interceptors/traces.ts';
import { validationInterceptor } from './rpc/interceptors/validation.ts';
import { addService, addStandardServices, maxResponseBytes } from './rpc/services.ts';
import { createSourceResolver } from './rpc/source.ts';

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

/** Creates the handler of the broker's port: RPCs, probes and the console. */
export function createHandler({ parts, methods, live, log, ready, closing, ...options }: HandlerOptions): Handler {
  const sourceOf = createSourceResolver(() => live.config.trustedProxies);
  const rpcHandler = connectNodeAdapter({
    // Compression costs ten times what it saves on small messages, and must not let a request exceed the size limits.
    acceptCompression: [],
    writeMaxBytes: maxResponseBytes,
    contextValues: (request) => registerCancel(request, sourceOf(request)),
    requestGate: createAuthenticator({ ...parts, log, metrics: parts.calls }),
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
    routes: (router) => {
      addService(router, BrokerService, methods.broker);
      addService(router, AgentService, methods.agent);
      addService(router, AdminService, methods.admin);
      addStandardServices(router, ready, closing);
      refuseMalformedRequests(router);
    },
    fallback: probeHandler(ready, consoleHandler(readConsole(options.consoleFolder))),
  });
  const guarded = rejectGrpcJson(handleClientAbort(rpcHandler, log));
  return callContextHandler(corsHandler(guarded, () => live.config.corsOrigins));
}
