import { cors } from '@connectrpc/connect';
import type { Handler } from './port.ts';

/** Lets browsers call from the listed origins; without any, only from the broker's own. */
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
