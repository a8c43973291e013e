import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { longPolls } from './long-polls.ts';

/** Rate, errors and duration of every RPC, under the names that gRPC dashboards know. */
export function metricsInterceptor(register: Registry): Interceptor {
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
  return (next) => async (request) => {
    const labels = { grpc_service: request.service.typeName, grpc_method: request.method.name };
    const end = (code: string) => handled.inc({ ...labels, grpc_code: code });
    const startedAt = performance.now();
    try {
      const response = await next(request);
      if (!response.stream) {
        end('OK');
        if (!longPolls.has(request.method.name)) seconds.observe(labels, (performance.now() - startedAt) / 1000);
        return response;
      }
      streams.inc(labels);
      return {
        ...response,
        message: observed(response.message, (code) => {
          streams.dec(labels);
          end(code);
        }),
      };
    } catch (error) {
      end(codeName(error));
      throw error;
    }
  };
}

async function* observed<T>(messages: AsyncIterable<T>, end: (code: string) => void): AsyncIterable<T> {
  let code = 'OK';
  try {
    yield* messages;
  } catch (error) {
    code = codeName(error);
    throw error;
  } finally {
    end(code);
  }
}

function codeName(error: unknown): string {
  return Code[ConnectError.from(error).code] ?? 'Unknown';
}
