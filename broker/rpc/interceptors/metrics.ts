import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { codeName, observeStream } from '../../../client/traced-calls.ts';
import { type AuthFailure, authFailures } from '../../access/keys.ts';
import type { AuthenticationMetrics } from './authenticate.ts';
import { longPolls } from './long-polls.ts';

/** Metrics of calls. */
export interface CallMetrics extends AuthenticationMetrics {
  /** Counts and times the calls that passed authentication. */
  readonly interceptor: Interceptor;
}

/** Registers rate, errors and duration of every RPC, under the names that gRPC dashboards use. No label comes from a caller. */
export function callMetrics(register: Registry): CallMetrics {
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls that ended, by code.',
    labelNames: ['grpc_service', 'grpc_method', 'grpc_code'],
    registers: [register],
  });
  const seconds = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'Duration of unary calls, without long polls.',
    labelNames: ['grpc_service', 'grpc_method'],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers: [register],
  });
  const streams = new Gauge({
    name: 'grpc_server_streams',
    help: 'Open streams.',
    labelNames: ['grpc_service', 'grpc_method'],
    registers: [register],
  });
  const failures = new Counter({
    name: 'brokkr_auth_failures_total',
    help: 'Calls that were refused by authentication, by reason.',
    labelNames: ['kind'],
    registers: [register],
  });
  // Every kind starts at 0: a rate needs a first value.
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
