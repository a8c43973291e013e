import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { readTraceParent } from '../../../client/trace.ts';
import type { Handler } from '../http/port.ts';

/** What everything that is done for one request shares. */
export interface Call {
  /** The caller's own, when it sent one; told back in the header `x-request-id`. */
  readonly requestId: string;
  /** The step of a trace that this call is, as a `traceparent`: the caller's, or one that the broker made of it. Empty for none. */
  traceParent: string;
  /** Whose call it is, and the signal that ends it, once the caller's key was found good. */
  caller?: { readonly ownerId: string; readonly signal: AbortSignal };
}

const calls = new AsyncLocalStorage<Call>();

/** The request that is being answered; undefined for what the broker does by itself. */
export function currentCall(): Call | undefined {
  return calls.getStore();
}

/** Runs what callers share: it is nobody's call, whoever asked for it first. */
export function outsideCall<T>(work: () => T): T {
  return calls.exit(work);
}

/** Gives every request an id, so that what is logged of it can be found. */
export function callContextHandler(next: Handler): Handler {
  return (request, response) => {
    const sent = request.headers['x-request-id'];
    const requestId = typeof sent === 'string' && /^[\w.-]{1,64}$/.test(sent) ? sent : randomUUID();
    response.setHeader('x-request-id', requestId);
    const header = request.headers.traceparent;
    const traceParent = typeof header === 'string' && readTraceParent(header) ? header : '';
    calls.run({ requestId, traceParent }, () => next(request, response));
  };
}
