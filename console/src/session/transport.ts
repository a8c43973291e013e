import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { AdminService } from '../../../gen/brokkr/v1/admin_pb.ts';
import { BrokerService } from '../../../gen/brokkr/v1/broker_pb.ts';

export interface Clients {
  readonly broker: Client<typeof BrokerService>;
  readonly admin: Client<typeof AdminService>;
}

const unaryTimeoutMs = 30_000;

/**
 * Creates the generated clients for the broker that served this page. The key is kept in this closure and nowhere else.
 *
 * @param onEnded called when the broker no longer accepts the key.
 */
export function connect(pak: string, onEnded: (error: ConnectError) => void): Clients {
  const withKey: Interceptor = (next) => async (request) => {
    request.header.set('authorization', `Bearer ${pak}`);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: withEndDetection(response.message, onEnded) } : response;
    } catch (error) {
      reportEnd(error, onEnded);
      throw error;
    }
  };
  const transport = withDeadline(
    createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true, interceptors: [withKey] }),
  );
  return { broker: createClient(BrokerService, transport), admin: createClient(AdminService, transport) };
}

/** Reports the end of the session when reading a stream fails: interceptors do not see errors after the first response. */
async function* withEndDetection<T>(
  messages: AsyncIterable<T>,
  onEnded: (error: ConnectError) => void,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    reportEnd(error, onEnded);
    throw error;
  }
}

function reportEnd(error: unknown, onEnded: (error: ConnectError) => void): void {
  const refusal = ConnectError.from(error);
  if (refusal.code === Code.Unauthenticated) onEnded(refusal);
}

/** Sets a deadline on unary calls only. The transport's default timeout would end streams as well. */
function withDeadline(transport: Transport): Transport {
  return {
    unary: (method, signal, timeoutMs, ...rest) =>
      transport.unary(method, signal, timeoutMs ?? unaryTimeoutMs, ...rest),
    stream: (...call) => transport.stream(...call),
  };
}
