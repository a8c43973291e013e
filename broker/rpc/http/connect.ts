import { constants } from 'node:http2';
import { createContextValues, type Interceptor } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import type { Logger } from 'pino';
import type { Authenticate } from '../interceptors/authenticate.ts';
import { cancelKey } from '../interceptors/key-revocation.ts';
import { refuseMalformedRequests } from '../interceptors/malformed-request.ts';
import { connectionOf, type createOriginResolver, setOrigin } from '../origin.ts';
import { addMethods, type Method } from '../services.ts';
import { handleClientAbort } from './client-abort.ts';
import type { Handler } from './port.ts';

type Request = Parameters<Handler>[0];

/** Serves the Connect protocol, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2 by connect-node; other paths are those of `fallback`. */
export function createConnectHandler(
  rpc: {
    readonly methods: readonly Method[];
    readonly interceptors: readonly Interceptor[];
    readonly authenticate: Authenticate;
    readonly originOf: ReturnType<typeof createOriginResolver>;
    readonly log: Logger;
  },
  fallback: Handler,
): Handler {
  const adapter = connectNodeAdapter({
    // Compression costs ten times what it saves on small messages; requests may not use it to grow past the limits.
    acceptCompression: [],
    contextValues: (request) =>
      setOrigin(
        createContextValues(),
        rpc.originOf(
          request.headers,
          connectionOf(carrierOf(request), () => request.socket.remoteAddress),
        ),
      ).set(cancelKey, (hasEnded) => cancel(request, hasEnded)),
    requestGate: rpc.authenticate,
    interceptors: [...rpc.interceptors],
    routes: (router) => {
      addMethods(router, rpc.methods);
      refuseMalformedRequests(router);
    },
    fallback,
  });
  return handleClientAbort(adapter, rpc.log);
}

/** What stands for a request's connection. */
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
