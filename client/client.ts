import { readFileSync } from 'node:fs';
import type { Http2Session } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import { mapErrors } from './map-errors.ts';
import { checkPinnedFingerprints } from './pin.ts';

export interface ClientOptions {
  /** `http://host:3000` or `https://host`. */
  readonly url: string;
  /** Sent with every call; a function is asked before each. Leave it out only for calls that need none (health, reflection). */
  readonly pak?: string | (() => string | undefined);
  /** File with the authority's certificates (PEM), when the system does not trust the broker's. */
  readonly caFile?: string;
  /** Fingerprints as `parseFingerprints` reads them: only a broker in whose chain one of these certificates is gets the key. */
  readonly caFingerprints?: readonly string[] | undefined;
  /** Files of the client's own certificate and key (PEM), for a broker that asks for them (mTLS). */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Deadline of a unary call, unless the call has its own `timeoutMs`; default 60 s. Streams have none. */
  readonly timeoutMs?: number;
  /** What is spoken on the wire; default gRPC. */
  readonly protocol?: 'grpc' | 'grpc-web' | 'connect';
  /** Further interceptors, outermost first. */
  readonly interceptors?: readonly Interceptor[];
}

type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'checkServerIdentity'>;

export interface BrokkrClient {
  readonly broker: Client<typeof BrokerService>;
  readonly agent: Client<typeof AgentService>;
  readonly admin: Client<typeof AdminService>;
  /** Ends the connection; calls under way are cancelled. */
  close(): void;
}

const defaultTimeoutMs = 60_000;
const pingIntervalMs = 20_000;
const pingTimeoutMs = 10_000;
/** What the broker answers at most: a whole deployment, with the names of its objects. */
const maxResponseBytes = 16 << 20;
/** What the broker accepts at most: a submission and its envelope. */
const maxRequestBytes = 9 << 20;

/**
 * Connects the generated clients of the three services to a broker: over one HTTP/2 connection, kept alive by PINGs, opened at the
 * first call and again after it broke. Throws when a certificate file cannot be read.
 */
export function connectBroker(options: ClientOptions): BrokkrClient {
  // An idle connection is tried by the next call. With `pingIdleConnection` the manager (2.2.0) goes on to PING a connection that
  // broke under a stream, which throws where nobody can catch it.
  const manager = ignoreLateErrors(
    new Http2SessionManager(
      options.url,
      { pingIntervalMs: pingIntervalMs, pingTimeoutMs, pingIdleConnection: false },
      tlsOptions(options),
    ),
  );
  const transport = makeTransport(options, manager);
  return {
    broker: createClient(BrokerService, transport),
    agent: createClient(AgentService, transport),
    admin: createClient(AdminService, transport),
    close: () => manager.abort(),
  };
}

/** Whether calls to this address would cross a network in clear text: then a key must not be sent without asking. */
export function isCleartext(url: string): boolean {
  return new URL(url).protocol !== 'https:' && !isLoopback(url);
}

/** Whether an address is this machine's own, which others do not reach. */
export function isLoopback(url: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

/**
 * A connection that breaks tells so only when its socket has closed. A call in between makes the manager (2.2.0) open another one
 * and stop listening to the first, whose `error` then ends the process. Its calls have failed with that error by themselves.
 */
function ignoreLateErrors(manager: Http2SessionManager): Http2SessionManager {
  const heeded = new WeakSet<Http2Session>();
  const request = manager.request.bind(manager);
  manager.request = async (...call) => {
    const stream = await request(...call);
    const { session } = stream;
    if (session !== undefined && !heeded.has(session)) {
      heeded.add(session);
      session.on('error', () => {});
    }
    return stream;
  };
  return manager;
}

function makeTransport(options: ClientOptions, sessionManager: Http2SessionManager): Transport {
  const common = {
    baseUrl: options.url,
    interceptors: [...(options.interceptors ?? []), mapLostConnections, authorization(options.pak)],
    sessionManager,
    maxResponseBytes,
    maxRequestBytes,
    // Compression costs ten times what it saves on small messages.
    acceptCompression: [],
  };
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  switch (options.protocol ?? 'grpc') {
    case 'grpc':
      return withDeadline(createGrpcTransport(common), timeoutMs);
    case 'grpc-web':
      return withDeadline(createGrpcWebTransport({ ...common, httpVersion: '2' }), timeoutMs);
    case 'connect':
      return withDeadline(createConnectTransport({ ...common, httpVersion: '2' }), timeoutMs);
  }
}

/** A transport's own default would end streams too. */
function withDeadline(transport: Transport, defaultMs: number): Transport {
  return {
    unary: (method, signal, timeoutMs, ...rest) => transport.unary(method, signal, timeoutMs ?? defaultMs, ...rest),
    stream: (...call) => transport.stream(...call),
  };
}

/**
 * A connection that breaks ends its calls, which the transport calls canceled or aborted although nobody has: then they are
 * UNAVAILABLE, as the gRPC specification has it, and may be tried again. So is one that a closing broker did not take any more, or that
 * ended before its status came.
 */
const mapLostConnections = mapErrors((error, { signal }) => {
  const { code, isWireError, message } = ConnectError.from(error);
  const broken =
    code === Code.Canceled || code === Code.Aborted || /NGHTTP2_REFUSED_STREAM|missing status/.test(message);
  const lost = !isWireError && !signal.aborted && broken;
  return lost
    ? new ConnectError('the connection to the broker broke', Code.Unavailable, undefined, undefined, error)
    : error;
});

function authorization(pak: ClientOptions['pak']): Interceptor {
  return (next) => (request) => {
    const current = typeof pak === 'function' ? pak() : pak;
    if (current !== undefined) request.header.set('authorization', `Bearer ${current}`);
    return next(request);
  };
}

/** The certificates, read for each connection anew: they are renewed while programs run. What cannot be read is as it was before. */
function tlsOptions({ caFile, certFile, keyFile, caFingerprints }: ClientOptions): TlsOptions {
  const files = { ca: caFile, cert: certFile, key: keyFile };
  const options: TlsOptions =
    caFingerprints === undefined ? {} : { checkServerIdentity: checkPinnedFingerprints(caFingerprints) };
  for (const [name, file] of Object.entries(files)) {
    if (file === undefined) continue;
    let last = readFileSync(file);
    const get = () => {
      try {
        last = readFileSync(file);
      } catch {
        // In the middle of being replaced.
      }
      return last;
    };
    Object.defineProperty(options, name, { get, enumerable: true });
  }
  return options;
}
