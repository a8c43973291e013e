import type { Interceptor } from '@connectrpc/connect';
import { Gauge, type Registry } from 'prom-client';
import type { Limits } from '../../config.ts';
import { currentCall } from '../interceptors/call.ts';
import { principalKey } from '../principal.ts';
import { type CallClass, createFairQueue } from './queue.ts';

/** Of the calls that are worked on at once, so many are one caller's at most: what is left serves others without a wait. */
const shareOfOne = 0.75;
/** Callers that wait for an answer hardly cost anything, but each look at it does. */
const answersAtOnce = 2_000;
const answersOfOne = 50;

/**
 * Lets unary calls take turns by whose key they carry. Calls without a key (health), streams, and pulls, which wait for changes and
 * share their reads, are not held up here, but by their caller's share of the database; calls that wait for an answer have turns of
 * their own, so that they take none from others.
 */
export function fairnessInterceptor(register: Registry, limits: () => Limits): Interceptor {
  const queue = createFairQueue({
    get width() {
      return limits().callsAtOnce;
    },
    get callerWidth() {
      return Math.ceil(limits().callsAtOnce * shareOfOne);
    },
    get depth() {
      return limits().callsWaiting;
    },
  });
  const answers = createFairQueue({
    width: answersAtOnce,
    callerWidth: answersOfOne,
    get depth() {
      return limits().callsWaiting;
    },
  });
  new Gauge({
    name: 'brokkr_calls_waiting',
    help: 'Calls that wait for their turn, by what they wait for.',
    labelNames: ['queue'],
    registers: [register],
    collect() {
      this.set({ queue: 'calls' }, queue.waiting());
      this.set({ queue: 'answers' }, answers.waiting());
    },
  });
  return (next) => (request) => {
    const principal = request.contextValues.get(principalKey);
    const call = currentCall();
    if (call && principal) call.caller = { ownerId: principal.ownerId, signal: request.signal };
    if (request.stream || !principal || request.method.name === 'PullTargetState') return next(request);
    const kind = classOf(request.service.name, request.method.name);
    const waits = 'wait' in request.message && request.message.wait !== undefined;
    return (waits ? answers : queue).run(principal.ownerId, kind, request.signal, () => next(request));
  };
}

function classOf(service: string, method: string): CallClass {
  if (service === 'AgentService') return 'agent';
  return method.startsWith('List') || method === 'VerifyAudit' || method === 'GetFleet' ? 'list' : 'single';
}
