import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  type GrpcTransportOptions,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import { type Connection, createConnection } from './connection.ts';
import { mapErrors } from './map-errors.ts';
import { checkPinnedFingerprints } from './pin.ts';

/** Options of `connectBroker`. */
export interface ClientOptions {
  /** `http://host:3000` or `https://host`. */
  readonly url: string;
  /** Key that is sent with every call; a function is called before each. Omit it only for calls without authentication. */
  readonly pak?: string | (() => string | undefined);
  /** File with CA certificates (PEM), if the system does not trust the broker's certificate. */
  readonly caFile?: string;
  /** SHA-256 fingerprints from `parseFingerprints`: the broker's certificate chain must contain one of these certificates. */
  readonly caFingerprints?: readonly string[] | undefined;
  /** Files with the client's certificate and key (PEM), if the broker requires mTLS. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Deadline of unary calls without their own `timeoutMs`; default 60 s. Streams have no deadline. */
  readonly timeoutMs?: number;
  /** Protocol on the wire; default gRPC. */
  readonly protocol?: 'grpc' | 'grpc-web' | 'connect';
  /** Additional interceptors, outermost first. */
  readonly interceptors?: readonly Interceptor[];
}

type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'checkServerIdentity'>;

/** The generated clients of the broker's services. */
export interface BrokkrClient {
  readonly broker: Client<typeof BrokerService>;
  readonly agent: Client<typeof AgentService>;
  readonly admin: Client<typeof AdminService>;
  /** Closes the connection and cancels pending calls. */
  close(): void;
}

const defaultTimeoutMs = 60_000;
const pingIntervalMs = 20_000;
const pingTimeoutMs = 10_000;
/** Maximum size of a response: a complete deployment with the names of its objects. */
const maxResponseBytes = 16 << 20;
/** Maximum size of a request: a submission and its envelope. The broker would refuse more, but only after some of it was sent. */
const maxRequestBytes = (32 << 20) + (64 << 10);
/** Memory of a connection's unsent requests, in MB. Node refuses further calls beyond it; its default is less than two submissions. */
const maxSessionMemory = 128;

/**
 * Connects the generated clients of the three services to a broker over one HTTP/2 connection. It is opened at the first call, kept
 * alive by PINGs, and reopened after a failure. Throws when a certificate file cannot be read.
 */
export function connectBroker(options: ClientOptions): BrokkrClient {
  // The next call checks an idle connection. With `pingIdleConnection` the manager (2.2.0) keeps sending PINGs on a connection that
  // failed under a stream, which throws an uncatchable error.
  // Not a copy: the files are read by getters, for each connection.
  const sessionOptions = Object.assign(tlsOptions(options), { maxSessionMemory });
  const managerOptions = { pingIntervalMs, pingTimeoutMs, pingIdleConnection: false };
  const connection = createConnection(() => new Http2SessionManager(options.url, managerOptions, sessionOptions));
  const transport = makeTransport(options, connection);
  return {
    broker: createClient(BrokerService, transport),
    agent: createClient(AgentService, transport),
    admin: createClient(AdminService, transport),
    close: () => connection.abort(),
  };
}

/** Tells whether calls to an address would cross a network unencrypted. A key must not be sent to it without consent. */
export function isCleartext(url: string): boolean {
  return new URL(url).protocol !== 'https:' && !isLoopback(url);
}

/** Tells whether an address is a loopback address, which other machines cannot reach. */
export function isLoopback(url: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

function makeTransport(options: ClientOptions, sessionManager: Connection): Transport {
  const common = {
    baseUrl: options.url,
    interceptors: [...(options.interceptors ?? []), mapLostConnections, authorization(options.pak)],
    sessionManager,
    readMaxBytes: maxResponseBytes,
    writeMaxBytes: maxRequestBytes,
    // Compressing small messages costs about ten times what it saves.
    acceptCompression: [],
  } satisfies GrpcTransportOptions;
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

/** Sets the deadline of unary calls only; the transport's own default would also end streams. */
function withDeadline(transport: Transport, defaultMs: number): Transport {
  return {
    unary: (method, signal, timeoutMs, ...rest) => transport.unary(method, signal, timeoutMs ?? defaultMs, ...rest),
    stream: (...call) => transport.stream(...call),
  };
}

/**
 * Maps the errors of a lost connection to UNAVAILABLE, as the gRPC specification requires, so that the calls can be retried. The
 * transport reports them as canceled or aborted although the caller did neither. The same applies to calls that a closing broker
 * rejected, and to those that ended before their status arrived.
 */
const mapLostConnections = mapErrors((error, { signal }) => {
  const { code, isWireError, message } = ConnectError.from(error);
  const isConnectionError =
    code === Code.Canceled ||
    code === Code.Aborted ||
    /NGHTTP2_REFUSED_STREAM|NGHTTP2_ENHANCE_YOUR_CALM|missing status/.test(message);
  return !isWireError && !signal.aborted && isConnectionError
    ? new ConnectError('the connection to the broker was lost', Code.Unavailable, undefined, undefined, error)
    : error;
});

function authorization(pak: ClientOptions['pak']): Interceptor {
  return (next) => (request) => {
    const current = typeof pak === 'function' ? pak() : pak;
    if (current !== undefined) request.header.set('authorization', `Bearer ${current}`);
    return next(request);
  };
}

/** Reads the certificates again for each connection, because they are renewed while the program runs. Keeps the previous ones on errors. */
function tlsOptions({ caFile, certFile, keyFile, caFingerprints }: ClientOptions): TlsOptions {
  const files = { ca: caFile, cert: certFile, key: keyFile };
  const options: TlsOptions =
    caFingerprints === undefined ? {} : { checkServerIdentity: checkPinnedFingerprints(caFingerprints) };
  for (const [name, file] of Object.entries(files)) {
    if (file === undefined) continue;
    let content = readFileSync(file);
    const get = () => {
      try {
        content = readFileSync(file);
      } catch {
        // The file is being replaced.
      }
      return content;
    };
    Object.defineProperty(options, name, { get, enumerable: true });
  }
  return options;
}
