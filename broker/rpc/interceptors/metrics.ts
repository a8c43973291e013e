import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { codeName, observeStream } from '../../../client/traced-calls.ts';
import { type AuthFailure, authFailures } from '../../access/keys.ts';
import type { GateMetrics } from './authenticate.ts';
import { longPolls } from './long-polls.ts';

/** What is counted of calls. */
export interface CallMetrics extends GateMetrics {
  /** Counts and times the calls that the gate has let in. */
  readonly interceptor: Interceptor;
}

/** Rate, errors and duration of every RPC, under the names that gRPC dashboards know. Labels come from the contract alone. */
export function callMetrics(register: Registry): CallMetrics {
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls that ended, by code.',
    labelNames: ['grpc_service', 'grpc_method', 'grpc_code'],
    registers: [register],
  });
  const seconds = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'How long unary calls took; long polls are left out.',
    labelNames: ['grpc_service', 'grpc_method'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers: [register],
  });
  const streams = new Gauge({
    name: 'grpc_server_streams',
    help: 'Streams that are open.',
    labelNames: ['grpc_service', 'grpc_method'],
    registers: [register],
  });
  const failures = new Counter({
    name: 'brokkr_auth_failures_total',
    help: 'Calls that were not let in, by why.',
    labelNames: ['kind'],
    registers: [register],
  });
  // What never happened is 0, not missing: a rate needs a first value.
  for (const kind of authFailures) failures.inc({ kind }, 0);
  const labelsOf = (method: DescMethod) => ({ grpc_service: method.parent.typeName, grpc_method: method.name });
  const ended = (method: DescMethod, code: string) => handled.inc({ ...labelsOf(method), grpc_code: code });
  return {
    ended,
    authFailed: (kind: AuthFailure) => failures.inc({ kind }),
    interceptor: (next) => async (request) => {
      const { method } = request;
      const labels = labelsOf(method);
      const startedAt = performance.now();
      try {
        const response = await next(request);
        if (!response.stream) {
          ended(method, 'OK');
          if (!longPolls.has(method.name)) seconds.observe(labels, (performance.now() - startedAt) / 1000);
          return response;
        }
        streams.inc(labels);
        return {
          ...response,
          message: observeStream(response.message, (failure) => {
            streams.dec(labels);
            ended(method, failure ?? 'OK');
          }),
        };
      } catch (error) {
        ended(method, codeName(error));
        throw error;
      }
    },
  };
}
