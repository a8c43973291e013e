import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { parseTimeout } from '@connectrpc/connect/protocol-grpc';
import type { Logger } from 'pino';
import type { RequestBudget } from '../admission/request-budget.ts';
import { createCall, runInCall } from '../call.ts';
import type { Authenticate } from '../interceptors/authenticate.ts';
import { setDeadline } from '../interceptors/deadline.ts';
import { cancelKey } from '../interceptors/key-revocation.ts';
import { type Connection, connectionOf, type Origin, setOrigin } from '../origin.ts';
import { principalKey } from '../principal.ts';
import type { Method } from '../services.ts';
import { GrpcCall } from './call.ts';
import { acceptedEncodings, isAcceptedEncoding } from './compression.ts';
import { type GrpcMethod, toGrpcMethod } from './method.ts';
import { clientDisconnected } from './request.ts';
import { GrpcResponse } from './response.ts';
import { serve } from './serve.ts';

/** Serves a stream of HTTP/2, or returns false when it is not native gRPC. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

/** Content types of gRPC with protobuf; parameters are allowed after them. */
const contentType = /^application\/grpc(\+proto)?[ \t]*(;|$)/i;

/**
 * Serves native gRPC on the streams of `node:http2`, without its compatibility API and without connect-node, which cost several times
 * what a small call does. Methods, interceptors and authentication are those of the other protocols; a stream that is not a gRPC call
 * of one of the methods is left to them.
 */
export function createGrpcHandler(options: {
  readonly methods: readonly Method[];
  readonly interceptors: readonly Interceptor[];
  readonly authenticate: Authenticate;
  readonly originOf: (headers: IncomingHttpHeaders, connection: Connection) => Origin;
  readonly requests: RequestBudget;
  readonly log: Logger;
}): StreamHandler {
  const { authenticate, originOf, requests, log } = options;
  const methods = new Map(
    options.methods
      .map((method) => toGrpcMethod(method, options.interceptors))
      .map((method): [string, GrpcMethod] => [method.path, method]),
  );
  return (stream, headers) => {
    const method = methods.get(headers[':path'] ?? '');
    if (!method || !isNativeGrpc(headers)) return false;
    const { session } = stream;
    if (!session) return true;
    const call = new GrpcCall(method.descriptor, headers);
    stream.once('close', () => call.lifetime.end(clientDisconnected));
    const connection = connectionOf(session, () => session.socket?.remoteAddress);
    const origin = originOf(headers, connection);
    setOrigin(call.values, origin);
    const reserve = (bytes: number) =>
      requests.reserve(bytes, call, { principal: call.values.get(principalKey), source: origin.source });
    call.values.set(cancelKey, () => stream.close(constants.NGHTTP2_CANCEL));
    const refusal = readTimeout(call, headers['grpc-timeout']) ?? checkEncoding(call, headers['grpc-encoding']);
    const context = createCall(headers['x-request-id'], headers.traceparent);
    const response = new GrpcResponse(stream, context.requestId);
    const isGzip = headers['grpc-encoding'] === 'gzip';
    const exchange = { call, method, stream, response, reserve, refusal, isGzip };
    void runInCall(context, () => serve(exchange, authenticate, log));
    return true;
  };
}

/** Browsers, which send an origin, speak gRPC-Web: a native call with an origin is left to the code that answers with CORS. */
function isNativeGrpc(headers: IncomingHttpHeaders): boolean {
  return (
    headers[':method'] === 'POST' && contentType.test(headers['content-type'] ?? '') && headers.origin === undefined
  );
}

/** Sets the call's deadline; returns the refusal of a malformed timeout. */
function readTimeout(call: GrpcCall, header: string | string[] | undefined): ConnectError | undefined {
  if (header === undefined) return undefined;
  const { timeoutMs, error } = parseTimeout(String(header), Number.MAX_SAFE_INTEGER);
  if (timeoutMs !== undefined) setDeadline(call.values, timeoutMs);
  return error;
}

/** Returns the refusal of a compression that is not accepted. */
function checkEncoding(call: GrpcCall, encoding: string | string[] | undefined): ConnectError | undefined {
  if (encoding === undefined || isAcceptedEncoding(String(encoding))) return undefined;
  call.responseHeader.set('grpc-accept-encoding', acceptedEncodings);
  return new ConnectError(`unknown compression "${encoding}": ${acceptedEncodings} are supported`, Code.Unimplemented);
}
