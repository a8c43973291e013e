import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { readTraceParent } from '../../client/trace.ts';
import type { Lifetime } from './lifetime.ts';

/** The context of one request, which everything that runs for it shares. */
export interface Call {
  /** The caller's own id when it sent a valid one; answered in the header `x-request-id`. */
  readonly requestId: string;
  /** `traceparent` of the call's span: the caller's, or the one that the broker started for it. Empty without a trace. */
  traceParent: string;
  /** Set once the caller's key was verified: who calls, and when the call ends. */
  caller?: { readonly ownerId: string; readonly lifetime: Lifetime };
}

const calls = new AsyncLocalStorage<Call>();

/** Returns the request that is being answered; undefined for the broker's own work. */
export function currentCall(): Call | undefined {
  return calls.getStore();
}

/** Runs `work`, and everything that it starts, in the context of a call. */
export function runInCall<T>(call: Call, work: () => T): T {
  return calls.run(call, work);
}

/** Runs shared work outside any caller's context. */
export function outsideCall<T>(work: () => T): T {
  return calls.exit(work);
}

/** Makes a request's context from its headers `x-request-id` and `traceparent`; invalid values count as absent. */
export function createCall(requestId: unknown, traceParent: unknown): Call {
  return {
    requestId: typeof requestId === 'string' && /^[\w.-]{1,64}$/.test(requestId) ? requestId : randomUUID(),
    traceParent: typeof traceParent === 'string' && readTraceParent(traceParent) ? traceParent : '',
  };
}
