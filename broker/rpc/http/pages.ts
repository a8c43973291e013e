import { cors } from '@connectrpc/connect';
import type { Handler } from './port.ts';

/** Lets browsers call from these origins; without any, only from the broker's own. */
export function corsHandler(next: Handler, origins: () => readonly string[]): Handler {
  return (request, response) => {
    const origin = request.headers.origin;
    if (origin !== undefined && origins().includes(origin)) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('vary', 'origin');
      response.setHeader('access-control-expose-headers', [...cors.exposedHeaders, 'x-request-id'].join(', '));
      if (request.method === 'OPTIONS') {
        response.statusCode = 204;
        response.setHeader('access-control-allow-methods', cors.allowedMethods.join(', '));
        response.setHeader(
          'access-control-allow-headers',
          [...cors.allowedHeaders, 'authorization', 'traceparent', 'x-request-id'].join(', '),
        );
        response.setHeader('access-control-max-age', '7200');
        response.end();
        return;
      }
    }
    next(request, response);
  };
}

/**
 * Refuses gRPC and gRPC-Web with messages in JSON, which no client here speaks: an error that repeats half a surrogate pair of such a
 * message cannot be written into a trailer, so its call would never be answered. JSON is for the Connect protocol.
 */
export function rejectGrpcJson(next: Handler): Handler {
  return (request, response) => {
    if (!/^application\/grpc(-web)?\+json/i.test(request.headers['content-type'] ?? '')) return next(request, response);
    return sendText(response, 415, 'gRPC messages are protobuf here; for JSON, use the Connect protocol');
  };
}

/** For paths that no RPC has: `/healthz` says that the process runs, `/readyz` that it can serve. */
export function probeHandler(ready: () => boolean, next: Handler): Handler {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === '/healthz') return sendText(response, 200, 'ok');
    if (path === '/readyz')
      return ready() ? sendText(response, 200, 'ok') : sendText(response, 503, 'the database does not answer');
    return next(request, response);
  };
}

/** Answers one line of plain text. */
export function sendText(response: Parameters<Handler>[1], status: number, body: string): void {
  response.statusCode = status;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('cache-control', 'no-store');
  response.end(`${body}\n`);
}
