import type { Interceptor } from '@connectrpc/connect';
import { Gauge, type Registry } from 'prom-client';
import type { Limits } from '../../config.ts';
import { currentCall } from '../call.ts';
import { lifetimeOf } from '../lifetime.ts';
import { principalKey } from '../principal.ts';
import { type CallClass, createFairQueue } from './queue.ts';

/** Maximum share of concurrent calls per caller: the rest serves others without a wait. */
const maxCallerShare = 0.75;
/** A call that waits for a result costs little, but each check of the result costs a statement. */
const maxLongPolls = 2_000;
const maxLongPollsPerCaller = 50;

const passingMethods: ReadonlySet<string> = new Set(['PullTargetState', 'SubmitDeployment']);

/**
 * Queues unary calls fairly between callers. Calls without a key (health), streams, pulls, which wait for changes and share their
 * reads, and submissions, which have turns of their own and wait for a parser, pass: only their caller's share of the database limits
 * them. Calls that ask to wait for a result have a queue of their own,
 * so that they do not hold the places of others.
 */
export function fairnessInterceptor(register: Registry, limits: () => Limits): Interceptor {
  const queue = createFairQueue({
    get maxRunning() {
      return limits().callsAtOnce;
    },
    get maxRunningPerCaller() {
      return Math.ceil(limits().callsAtOnce * maxCallerShare);
    },
    get maxWaitingPerCaller() {
      return limits().callsWaiting;
    },
  });
  const longPollQueue = createFairQueue({
    maxRunning: maxLongPolls,
    maxRunningPerCaller: maxLongPollsPerCaller,
    get maxWaitingPerCaller() {
      return limits().callsWaiting;
    },
  });
  new Gauge({
    name: 'brokkr_calls_waiting',
    help: 'Calls that wait for their turn, by queue.',
    labelNames: ['queue'],
    registers: [register],
    collect() {
      this.set({ queue: 'calls' }, queue.waiting());
      this.set({ queue: 'answers' }, longPollQueue.waiting());
    },
  });
  return (next) => (request) => {
    const principal = request.contextValues.get(principalKey);
    const call = currentCall();
    if (!principal) return next(request);
    const lifetime = lifetimeOf(request);
    if (call) call.caller = { ownerId: principal.ownerId, lifetime };
    if (request.stream || passingMethods.has(request.method.name)) return next(request);
    const kind = callClassOf(request.service.name, request.method.name);
    const waits = 'wait' in request.message && request.message.wait !== undefined;
    return (waits ? longPollQueue : queue).run(principal.ownerId, kind, lifetime, () => next(request));
  };
}

function callClassOf(service: string, method: string): CallClass {
  if (service === 'AgentService') return 'agent';
  return method.startsWith('List') || method === 'VerifyAudit' || method === 'GetFleet' ? 'list' : 'single';
}
