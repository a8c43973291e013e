import type { Interceptor } from '@connectrpc/connect';
import { Gauge, type Registry } from 'prom-client';
import { longPolls } from './long-polls.ts';
import { principalKey } from './principal.ts';
import { type CallClass, createFairQueue } from './queue.ts';

/** About as many as the database answers at once: more would only wait there, and there first come is first served. */
const callsAtOnce = 16;
const callsOfOne = 12;
const callsWaiting = 500;

/**
 * Lets unary calls take turns by whose key they carry. Calls without a key (health) and those that wait for changes are not held up.
 */
export function fairnessInterceptor(register: Registry): Interceptor {
  const queue = createFairQueue({ width: callsAtOnce, callerWidth: callsOfOne, depth: callsWaiting });
  new Gauge({
    name: 'brokkr_calls_waiting',
    help: 'Calls that wait for their turn.',
    registers: [register],
    collect() {
      this.set(queue.waiting());
    },
  });
  return (next) => (request) => {
    const principal = request.contextValues.get(principalKey);
    if (request.stream || !principal || longPolls.has(request.method.name)) return next(request);
    const kind = classOf(request.service.name, request.method.name);
    return queue.run(principal.ownerId, kind, request.signal, () => next(request));
  };
}

function classOf(service: string, method: string): CallClass {
  if (service === 'AgentService') return 'agent';
  return method.startsWith('List') || method === 'VerifyAudit' ? 'list' : 'single';
}
