import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { type Health, HealthCheckResponse_ServingStatus as Status } from '../../../gen/grpc/health/v1/health_pb.ts';

const checkIntervalMs = 500;

/**
 * Implements grpc.health.v1 (github.com/grpc/grpc/blob/master/doc/health-checking.md). The empty name stands for the broker as a
 * whole; all of its services have the same status.
 */
export function healthMethods(
  names: readonly string[],
  ready: () => boolean,
  closing: AbortSignal,
): ServiceImpl<typeof Health> {
  const status = () => (ready() && !closing.aborted ? Status.SERVING : Status.NOT_SERVING);
  const known = (name: string) => name === '' || names.includes(name);
  return {
    check({ service }) {
      if (!known(service)) throw new ConnectError(`service "${service}" is not known`, Code.NotFound);
      return { status: status() };
    },
    async *watch({ service }, context) {
      const ended = AbortSignal.any([context.signal, closing]);
      for (let last: Status | undefined; ; ) {
        const now = known(service) ? status() : Status.SERVICE_UNKNOWN;
        if (now !== last) yield { status: now };
        last = now;
        if (ended.aborted) return;
        await sleep(checkIntervalMs, undefined, { signal: ended }).catch(() => {});
      }
    },
    list: () => ({ statuses: Object.fromEntries(['', ...names].map((name) => [name, { status: status() }])) }),
  };
}
