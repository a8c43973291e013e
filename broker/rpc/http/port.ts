import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import * as tls from 'node:tls';
import type { connectNodeAdapter } from '@connectrpc/connect-node';
import type { StreamHandler } from '../grpc/handler.ts';
import { type ConnectionLimits, connectionLimits, createConnections } from './connections.ts';
import { startKeepalive } from './keepalive.ts';
import { createRequestTimeouts } from './request-timeout.ts';

/** Serves requests of HTTP/1.1 and, through Node's compatibility API, HTTP/2. */
export type Handler = ReturnType<typeof connectNodeAdapter>;

/** One port for HTTP/1.1 and HTTP/2, in cleartext or over TLS. */
export interface Port {
  readonly port: number;
  /** Uses new certificates for future connections. */
  renew(context: tls.SecureContextOptions): void;
  /** Refuses new connections, lets calls finish for `graceMs`, then destroys the remaining connections. */
  close(graceMs: number): Promise<void>;
}

export interface PortOptions {
  readonly host: string;
  /** 0 chooses a free port. */
  readonly port: number;
  readonly handler: Handler;
  /** Serves streams of HTTP/2 that it takes before they reach `handler`. */
  readonly serveStream?: StreamHandler;
  /** With `ca`, clients must present a certificate that it issued. */
  readonly tls?: tls.SecureContextOptions | undefined;
  /** Returns the time within which a request of a path must have arrived completely; undefined for requests that are streams. */
  readonly requestTimeoutMs: (path: string) => number | undefined;
  /** Interval of the checks for that time; default one second. */
  readonly checkMs?: number;
  /** Default: limits that leave file descriptors for the database. */
  readonly connectionLimits?: () => ConnectionLimits;
}

const preface = Buffer.from('PRI * HTTP/2.0');
/** Time within which a connection must show which protocol it speaks. */
const protocolTimeoutMs = 10_000;

const http1Options = {
  maxHeaderSize: 16 << 10,
  headersTimeout: 15_000,
  requestTimeout: 120_000,
  keepAliveTimeout: 75_000,
} as const satisfies http.ServerOptions;

const http2Options = {
  maxHeaderListPairs: 100,
  maxSendHeaderBlockLength: 64 << 10,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxSessionMemory: 64,
  unknownProtocolTimeout: protocolTimeoutMs,
  // Limits HTTP/2 rapid reset (CVE-2023-44487).
  streamResetBurst: 1_000,
  streamResetRate: 100,
  settings: { maxConcurrentStreams: 100, maxHeaderListSize: 16 << 10, enablePush: false },
} as const satisfies http2.ServerOptions;

const tlsOptions = { minVersion: 'TLSv1.2' } as const satisfies tls.SecureContextOptions;

/** Listens. Rejects with the system's error when the address cannot be bound. */
export async function openPort(options: PortOptions): Promise<Port> {
  const { handler, serveStream, requestTimeoutMs, checkMs = 1_000 } = options;
  const connections = createConnections(options.connectionLimits ?? (() => connectionLimits(false)));
  const { sockets, sessions } = connections;
  const streams = new Set<http2.ServerHttp2Stream>();
  const requestTimeouts = createRequestTimeouts(checkMs);
  const listener = options.tls ? listenTls(options.tls, handler) : listenCleartext(handler);
  listener.server.on('connection', (socket: net.Socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    connections.add(socket);
  });
  listener.h2.on('session', (session: http2.ServerHttp2Session) => {
    session.on('error', () => {});
    connections.addSession(session);
  });
  serveFirst(listener.h2, (stream, headers) => {
    // A stream that fails before anybody serves it must not end the process.
    stream.on('error', () => {});
    streams.add(stream);
    if (stream.session) connections.addStream(stream.session as http2.ServerHttp2Session, stream);
    const timeoutMs = requestTimeoutMs(headers[':path'] ?? '');
    if (timeoutMs !== undefined) requestTimeouts.add(stream, timeoutMs);
    stream.once('close', () => {
      streams.delete(stream);
      requestTimeouts.delete(stream);
    });
    return serveStream?.(stream, headers) ?? false;
  });
  listener.h2.on('sessionError', () => {});
  const stopPings = startKeepalive(sessions);
  await new Promise<void>((resolve, reject) => {
    listener.server.once('error', reject);
    listener.server.listen(options.port, options.host, () => resolve());
  });
  listener.server.on('error', () => {});
  return {
    port: (listener.server.address() as net.AddressInfo).port,
    renew: listener.renew,
    async close(graceMs) {
      listener.server.close();
      stopPings();
      requestTimeouts.close();
      connections.close();
      // Sends GOAWAY: running calls finish, and a session without calls ends at once.
      for (const session of sessions) session.close();
      listener.closeUndetected();
      const end = Date.now() + graceMs;
      listener.http1.close();
      for (const resetAnswered = createAnsweredReset(streams); sockets.size > 0 && Date.now() < end; resetAnswered()) {
        // An HTTP/1.1 connection becomes idle when its call ends.
        listener.http1.closeIdleConnections();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Offers each stream to `serve` first; the streams that it does not take go to Node's compatibility API, and so to the handler. */
function serveFirst(server: http2.Http2Server, serve: StreamHandler): void {
  const serveRequests = server.listeners('stream') as ((...stream: unknown[]) => void)[];
  server.removeAllListeners('stream');
  server.on('stream', (stream, headers, ...rest) => {
    if (serve(stream, headers)) return;
    for (const serveRequest of serveRequests) serveRequest.call(server, stream, headers, ...rest);
  });
}

/** Time that a complete response gets to reach the client. */
const flushMs = 200;

/**
 * Resets streams whose response is complete while the client still sends, which would keep the connection open. The returned function
 * has to be called repeatedly.
 */
function createAnsweredReset(streams: ReadonlySet<http2.ServerHttp2Stream>): () => void {
  const since = new Map<http2.ServerHttp2Stream, number>();
  return () => {
    const now = Date.now();
    for (const stream of streams) {
      if (!stream.writableFinished) continue;
      if (!since.has(stream)) since.set(stream, now);
      else if (now - (since.get(stream) ?? now) > flushMs) stream.close(http2.constants.NGHTTP2_NO_ERROR);
    }
  };
}

interface Listener {
  readonly server: net.Server;
  readonly http1: http.Server;
  readonly h2: http2.Http2Server;
  /** Closes connections whose protocol is not known yet. */
  closeUndetected(): void;
  renew(context: tls.SecureContextOptions): void;
}

/** Creates the servers of the two protocols. Neither listens: accepted connections are passed to one of them. */
function createServers(handler: Handler): { http1: http.Server; h2: http2.Http2Server } {
  const http1 = http.createServer(http1Options, handler);
  http1.on('clientError', (_error, socket) => socket.destroy());
  // Node starts tracking connections (for timeouts, and to find idle ones) when a server emits this event.
  http1.emit('listening');
  return { http1, h2: http2.createServer(http2Options, handler) };
}

/** Listens with TLS. ALPN decides the protocol; a client without ALPN speaks HTTP/1.1. */
function listenTls(context: tls.SecureContextOptions, handler: Handler): Listener {
  const { http1, h2 } = createServers(handler);
  const mutual = context.ca ? { requestCert: true, rejectUnauthorized: true } : {};
  const server = tls.createServer(
    { ...context, ...mutual, ...tlsOptions, ALPNProtocols: ['h2', 'http/1.1'], handshakeTimeout: protocolTimeoutMs },
    (socket) => (socket.alpnProtocol === 'h2' ? h2 : http1).emit('connection', socket),
  );
  server.on('secureConnection', (socket) => socket.on('error', () => socket.destroy()));
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return {
    server,
    http1,
    h2,
    // A connection in its handshake is destroyed after the grace period.
    closeUndetected: () => {},
    renew: (next) => server.setSecureContext({ ...next, ...tlsOptions }),
  };
}

/** Listens in cleartext: the first bytes of a connection decide which server gets it. */
function listenCleartext(handler: Handler): Listener {
  const { http1, h2 } = createServers(handler);
  const undetected = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    undetected.add(socket);
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), protocolTimeoutMs);
    socket.once('close', () => {
      clearTimeout(timer);
      undetected.delete(socket);
    });
    const detect = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      received = received.length > 0 ? Buffer.concat([received, chunk]) : chunk;
      const length = Math.min(received.length, preface.length);
      const isHttp2 = received.compare(preface, 0, length, 0, length) === 0;
      if (isHttp2 && length < preface.length) return;
      clearTimeout(timer);
      undetected.delete(socket);
      socket.removeListener('readable', detect);
      socket.unshift(received);
      (isHttp2 ? h2 : http1).emit('connection', socket);
    };
    socket.on('readable', detect);
  });
  return {
    server,
    http1,
    h2,
    closeUndetected() {
      for (const socket of undetected) socket.destroy();
    },
    renew: () => {},
  };
}
