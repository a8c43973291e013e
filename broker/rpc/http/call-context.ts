import { createCall, runInCall } from '../call.ts';
import type { Handler } from './port.ts';

/** Gives every request an id, which its answer and its log lines carry. */
export function callContextHandler(next: Handler): Handler {
  return (request, response) => {
    const call = createCall(request.headers['x-request-id'], request.headers.traceparent);
    response.setHeader('x-request-id', call.requestId);
    runInCall(call, () => next(request, response));
  };
}
