import { constants } from 'node:http2';
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  createContextValues,
  type Interceptor,
} from '@connectrpc/connect';
import { parseTimeout as parseConnectTimeout } from '@connectrpc/connect/protocol-connect';
import { parseTimeout as parseGrpcTimeout } from '@connectrpc/connect/protocol-grpc';
import { compressionGzip, connectNodeAdapter } from '@connectrpc/connect-node';
import type { Logger } from 'pino';
import type { RequestBudget } from '../admission/request-budget.ts';
import type { Authenticate } from '../interceptors/authenticate.ts';
import { setDeadline } from '../interceptors/deadline.ts';
import { toConnectError } from '../interceptors/errors.ts';
import { cancelKey } from '../interceptors/key-revocation.ts';
import { refuseMalformedRequests } from '../interceptors/malformed-request.ts';
import { LazyLifetime, type Lifetime } from '../lifetime.ts';
import { connectionOf, type createOriginResolver, setOrigin, sourceOf } from '../origin.ts';
import { principalKey } from '../principal.ts';
import { addMethods, type Method, maxUnaryCallMs, pathOf } from '../services.ts';
import { handleClientAbort } from './client-abort.ts';
import type { Handler } from './port.ts';

type Request = Parameters<Handler>[0];
type Response = Parameters<Handler>[1];

/** Requests up to this size need no place in the budget: they are smaller than what a stream costs anyway. */
const smallRequestBytes = 4 << 10;
/** Larger than any message. */
const maxMessageBytes = 0xffff_ffff;
const lifetimeKey = createContextKey<Lifetime | undefined>(undefined, {
  description: 'the lifetime until the response is sent',
});
const requestBytesKey = createContextKey<number | undefined>(undefined, { description: 'the size that was announced' });

/** Serves the Connect protocol, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2 by connect-node; other paths are those of `fallback`. */
export function createConnectHandler(
  rpc: {
    readonly methods: readonly Method[];
    readonly interceptors: readonly Interceptor[];
    readonly authenticate: Authenticate;
    readonly originOf: ReturnType<typeof createOriginResolver>;
    readonly requests: RequestBudget;
    readonly log: Logger;
  },
  fallback: Handler,
): Handler {
  const lifetimes = new WeakMap<Request, Lifetime>();
  const limits = new Map(rpc.methods.map(({ descriptor, readMaxBytes }) => [pathOf(descriptor), readMaxBytes]));
  const adapter = connectNodeAdapter({
    // Requests may be compressed, as some proxies and clients do; their limits count what they decompress to.
    acceptCompression: [compressionGzip],
    // Compression of responses costs more than it saves between a broker and its agents.
    compressMinBytes: maxMessageBytes,
    contextValues(request) {
      const connection = connectionOf(carrierOf(request), () => request.socket.remoteAddress);
      const values = setOrigin(createContextValues(), rpc.originOf(request.headers, connection));
      moveDeadline(request, values);
      values.set(lifetimeKey, lifetimes.get(request));
      values.set(requestBytesKey, isCompressed(request) ? undefined : contentLengthOf(request));
      return values.set(cancelKey, (hasEnded) => cancel(request, hasEnded));
    },
    async requestGate(context) {
      const { method, service, signal, values } = context;
      await rpc.authenticate({ method, service, signal, values, lifetime: values.get(lifetimeKey) });
      const bytes = context.values.get(requestBytesKey) ?? limits.get(pathOf(context.method)) ?? 0;
      if (bytes <= smallRequestBytes || context.method.methodKind === 'bidi_streaming') return;
      const principal = context.values.get(principalKey);
      try {
        rpc.requests.reserve(bytes, context, { principal, source: sourceOf(context) });
      } catch (error) {
        throw toConnectError(error, rpc.log, context.method.name);
      }
    },
    interceptors: [...rpc.interceptors],
    routes: (router) => {
      addMethods(router, rpc.methods);
      refuseMalformedRequests(router);
    },
    fallback,
  });
  const streamingPaths = new Set(rpc.methods.filter(hasResponseStream).map(({ descriptor }) => pathOf(descriptor)));
  return handleClientAbort((request, response) => {
    // nginx collects a response until its buffers are full or the response ends, which a stream does not.
    if (streamingPaths.has(request.url ?? '')) response.setHeader('x-accel-buffering', 'no');
    else limitResponse(request, response);
    lifetimes.set(request, createLifetime(response));
    adapter(request, response);
  }, rpc.log);
}

/** Cuts off a client that does not read its response: it would keep the response in memory, and its place among large calls. */
function limitResponse(request: Request, response: Response): void {
  const timer = setTimeout(() => cancel(request, false), maxUnaryCallMs);
  timer.unref();
  response.once('close', () => clearTimeout(timer));
}

/** Returns the lifetime of a call, which ends when its response was sent or the client is gone. */
function createLifetime(response: Response): Lifetime {
  const lifetime = new LazyLifetime();
  response.once('close', () => lifetime.end(new ConnectError('the call has ended', Code.Canceled)));
  return lifetime;
}

/** Answers whether a request's messages may be compressed, so that its length says nothing about their size. */
function isCompressed({ headers }: Request): boolean {
  return encodingHeaders.some((name) => (headers[name] ?? 'identity') !== 'identity');
}

/** Headers that name a compression: of unary calls, of streams and of gRPC-Web. */
const encodingHeaders = ['content-encoding', 'connect-content-encoding', 'grpc-encoding'] as const;

/** Returns the size that a request announces; undefined for one without a length. */
function contentLengthOf({ headers }: Request): number | undefined {
  const length = Number(headers['content-length'] ?? Number.NaN);
  return Number.isSafeInteger(length) ? length : undefined;
}

function hasResponseStream({ descriptor: { methodKind } }: Method): boolean {
  return methodKind === 'server_streaming' || methodKind === 'bidi_streaming';
}

/**
 * Takes a valid deadline out of a request's headers: connect-node passes it to a timer, which fires at once for more than 24 days, and
 * ends a stream at its deadline as if the handler had finished. connect-node refuses what is no deadline.
 */
function moveDeadline({ headers }: Request, values: ContextValues): void {
  const isGrpc = headers['content-type']?.startsWith('application/grpc') ?? false;
  const name = isGrpc ? 'grpc-timeout' : 'connect-timeout-ms';
  const value = headers[name];
  if (typeof value !== 'string') return;
  const { timeoutMs } = (isGrpc ? parseGrpcTimeout : parseConnectTimeout)(value, Number.MAX_SAFE_INTEGER);
  if (timeoutMs === undefined) return;
  delete headers[name];
  setDeadline(values, timeoutMs);
}

/** Returns the object that stands for a request's connection. */
function carrierOf(request: Request): object {
  return ('stream' in request ? request.stream.session : undefined) ?? request.socket;
}

/** Cancels a call whatever its handler is doing: HTTP/2 resets the stream, HTTP/1.1 closes the connection. */
function cancel(request: Request, hasEnded: boolean): void {
  // Reset it even when the handler has ended: a client that reads nothing has not got the response, and may go on sending.
  if ('stream' in request) request.stream.close(constants.NGHTTP2_CANCEL);
  // After the call, the connection may serve another caller.
  else if (!hasEnded) request.socket.destroy();
}
