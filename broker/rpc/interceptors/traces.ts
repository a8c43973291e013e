import type { Interceptor } from '@connectrpc/connect';
import type { Tracing } from '../../../client/trace.ts';
import { traceCall } from '../../../client/traced-calls.ts';
import { currentCall } from '../call.ts';

/**
 * Makes a call a span of its caller's trace, or of a new one. Routine calls (streams, agents, standard services) start no trace: they
 * get a span only when the caller sent a `traceparent`.
 */
export function traceInterceptor(tracing: Tracing): Interceptor {
  return (next) => (request) => {
    const call = currentCall();
    const { name } = request.method;
    const service = request.service.typeName;
    const isRoutine = request.stream || service === 'brokkr.v1.AgentService' || service.startsWith('grpc.');
    if (!call || (isRoutine && call.traceParent === '')) return next(request);
    const span = tracing.start(`${service}/${name}`, {
      kind: 'server',
      parent: call.traceParent,
      attributes: {
        'rpc.system': 'grpc',
        'rpc.service': service,
        'rpc.method': name,
        'brokkr.request_id': call.requestId,
      },
    });
    call.traceParent = span.traceParent;
    return traceCall(span, next, request);
  };
}
