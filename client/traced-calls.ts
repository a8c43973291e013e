import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import type { Span, Tracing } from './trace.ts';

type Next = Parameters<Interceptor>[0];

/** Makes each call a step of a trace, and hands the trace on to the broker. */
export function createTraceInterceptor(tracing: Tracing, parent: string): Interceptor {
  return (next) => (request) => {
    const { name } = request.method;
    const service = request.service.typeName;
    const span = tracing.start(`${service}/${name}`, {
      kind: 'client',
      parent,
      attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': name },
    });
    request.header.set('traceparent', span.traceParent);
    return traceCall(span, next, request);
  };
}

/** Makes the call, whose end is the step's: of a stream, when its last message was read. */
export async function traceCall(span: Span, next: Next, request: Parameters<Next>[0]): ReturnType<Next> {
  try {
    const response = await next(request);
    if (response.stream) return { ...response, message: observeStream(response.message, span.end) };
    span.end();
    return response;
  } catch (error) {
    span.end(codeName(error));
    throw error;
  }
}

/** The same messages; `end` is told once how they ended, of a failure its code. */
export async function* observeStream<T>(messages: AsyncIterable<T>, end: (failure?: string) => void): AsyncIterable<T> {
  let failure: string | undefined;
  try {
    yield* messages;
  } catch (error) {
    failure = codeName(error);
    throw error;
  } finally {
    end(failure);
  }
}

/** Such as "NotFound". */
export function codeName(error: unknown): string {
  return Code[ConnectError.from(error).code] ?? 'Unknown';
}
