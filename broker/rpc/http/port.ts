import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import * as tls from 'node:tls';
import type { connectNodeAdapter } from '@connectrpc/connect-node';
import { startKeepalive } from './keepalive.ts';
import { createRequestTimeouts } from './request-timeout.ts';

/** What serves requests of both protocol versions. */
export type Handler = ReturnType<typeof connectNodeAdapter>;

/** One port for HTTP/1.1 and HTTP/2: cleartext, or TLS when it has a certificate. */
export interface Port {
  readonly port: number;
  /** Takes new certificates for connections to come. */
  renew(context: tls.SecureContextOptions): void;
  /** Refuses new connections, lets calls finish for `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

export interface PortOptions {
  readonly host: string;
  /** 0 means a free one. */
  readonly port: number;
  readonly handler: Handler;
  /** With `ca`, clients must have a certificate of it. */
  readonly tls?: tls.SecureContextOptions | undefined;
  /** Whether calls of this path stream their requests, so that those may come for as long as they like. */
  readonly isClientStreaming: (path: string) => boolean;
  /** By then any other request must have arrived in whole; default two minutes. */
  readonly requestTimeoutMs?: number;
}

const preface = Buffer.from('PRI * HTTP/2.0');
/** A connection that has not said which protocol it speaks by then is closed. */
const protocolTimeoutMs = 10_000;
const maxConnections = 20_000;

const defaultRequestTimeoutMs = 120_000;

const http1Options = {
  maxHeaderSize: 16 << 10,
  headersTimeout: 15_000,
  requestTimeout: defaultRequestTimeoutMs,
  keepAliveTimeout: 75_000,
} as const satisfies http.ServerOptions;

const http2Options = {
  maxHeaderListPairs: 100,
  maxSendHeaderBlockLength: 64 << 10,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxSessionMemory: 64,
  unknownProtocolTimeout: protocolTimeoutMs,
  // Against HTTP/2 rapid reset (CVE-2023-44487).
  streamResetBurst: 1_000,
  streamResetRate: 100,
  settings: { maxConcurrentStreams: 100, initialWindowSize: 1 << 20, maxHeaderListSize: 16 << 10, enablePush: false },
} as const satisfies http2.ServerOptions;

const tlsOptions = { minVersion: 'TLSv1.2' } as const satisfies tls.SecureContextOptions;

/** Listens. Rejects, with the system's error, when the address cannot be had. */
export async function openPort(options: PortOptions): Promise<Port> {
  const { handler, isClientStreaming, requestTimeoutMs = defaultRequestTimeoutMs } = options;
  const sockets = new Set<net.Socket>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const streams = new Set<http2.ServerHttp2Stream>();
  const requestTimeouts = createRequestTimeouts(requestTimeoutMs);
  const listener = options.tls ? listenTls(options.tls, handler) : listenCleartext(handler);
  listener.server.maxConnections = maxConnections;
  listener.server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  listener.h2.on('session', (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    session.on('error', () => {});
    // The connection's window is as wide as several streams': one slow reader does not hold up the others.
    session.setLocalWindowSize(4 << 20);
    session.once('close', () => sessions.delete(session));
    session.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      streams.add(stream);
      if (!isClientStreaming(headers[':path'] ?? '')) requestTimeouts.add(stream);
      stream.once('close', () => {
        streams.delete(stream);
        requestTimeouts.delete(stream);
      });
    });
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
      // GOAWAY: calls under way finish, and a session without any ends at once.
      for (const session of sessions) session.close();
      listener.closeUndetected();
      const end = Date.now() + graceMs;
      listener.http1.close();
      for (const resetAnswered = createAnsweredReset(streams); sockets.size > 0 && Date.now() < end; resetAnswered()) {
        // Connections of HTTP/1.1 whose call has just ended.
        listener.http1.closeIdleConnections();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** After a whole answer, this long for it to leave. */
const flushMs = 200;

/**
 * Ends calls that have had their whole answer and whose client goes on sending, which would keep the connection open. Call the
 * returned function again and again.
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
  /** Closes connections that have not said yet which protocol they speak. */
  closeUndetected(): void;
  renew(context: tls.SecureContextOptions): void;
}

/** The servers of the two protocols. Neither listens: each is handed its connections. */
function createServers(handler: Handler): { http1: http.Server; h2: http2.Http2Server } {
  const http1 = http.createServer(http1Options, handler);
  http1.on('clientError', (_error, socket) => socket.destroy());
  // Node begins to keep account of connections (for the time limits, and for which are idle) when a server listens.
  http1.emit('listening');
  return { http1, h2: http2.createServer(http2Options, handler) };
}

/** The protocol is agreed on in the TLS handshake (ALPN); a client that names none speaks HTTP/1.1. */
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
    // One in the middle of its handshake ends with the grace.
    closeUndetected: () => {},
    renew: (next) => server.setSecureContext({ ...next, ...tlsOptions }),
  };
}

/** Looks at a connection's first bytes and hands it to the server that speaks its protocol. */
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
