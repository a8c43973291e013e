import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { AdminService } from '../../../gen/brokkr/v1/admin_pb.ts';
import { BrokerService } from '../../../gen/brokkr/v1/broker_pb.ts';

export interface Clients {
  readonly broker: Client<typeof BrokerService>;
  readonly admin: Client<typeof AdminService>;
}

const unaryMs = 30_000;

/**
 * The generated clients, for the broker that this page came from. The key is kept in this closure and nowhere else; `onEnded` is
 * called when the broker does not accept it any more.
 */
export function connect(pak: string, onEnded: (error: ConnectError) => void): Clients {
  const withKey: Interceptor = (next) => async (request) => {
    request.header.set('authorization', `Bearer ${pak}`);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: watched(response.message, onEnded) } : response;
    } catch (error) {
      tellEnd(error, onEnded);
      throw error;
    }
  };
  const transport = withDeadline(
    createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true, interceptors: [withKey] }),
  );
  return { broker: createClient(BrokerService, transport), admin: createClient(AdminService, transport) };
}

/** A stream's error comes while it is read. */
async function* watched<T>(messages: AsyncIterable<T>, onEnded: (error: ConnectError) => void): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    tellEnd(error, onEnded);
    throw error;
  }
}

function tellEnd(error: unknown, onEnded: (error: ConnectError) => void): void {
  const refusal = ConnectError.from(error);
  if (refusal.code === Code.Unauthenticated) onEnded(refusal);
}

/** The transport's own default would end streams too. */
function withDeadline(transport: Transport): Transport {
  return {
    unary: (method, signal, timeoutMs, ...rest) => transport.unary(method, signal, timeoutMs ?? unaryMs, ...rest),
    stream: (...call) => transport.stream(...call),
  };
}
