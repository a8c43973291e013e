import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import type * as tls from 'node:tls';
import type { connectNodeAdapter } from '@connectrpc/connect-node';
import { pingSessions } from './pings.ts';

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
}

const preface = Buffer.from('PRI * HTTP/2.0');
/** A connection that has not said which protocol it speaks by then is closed. */
const undecidedMs = 10_000;
const maxConnections = 20_000;

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
  unknownProtocolTimeout: undecidedMs,
  // Against HTTP/2 rapid reset (CVE-2023-44487).
  streamResetBurst: 1_000,
  streamResetRate: 100,
  settings: { maxConcurrentStreams: 100, initialWindowSize: 1 << 20, maxHeaderListSize: 16 << 10, enablePush: false },
} as const satisfies http2.ServerOptions;

/** Listens. Rejects, with the system's error, when the address cannot be had. */
export async function openPort(options: PortOptions): Promise<Port> {
  const { handler } = options;
  const sockets = new Set<net.Socket>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const front = options.tls ? secure(options.tls, handler) : cleartext(handler);
  front.server.maxConnections = maxConnections;
  front.server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  front.http2.on('session', (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    session.on('error', () => {});
    // The connection's window is as wide as several streams': one slow reader does not hold up the others.
    session.setLocalWindowSize(4 << 20);
    session.once('close', () => sessions.delete(session));
  });
  front.http2.on('sessionError', () => {});
  front.http2.on('clientError', (_error: Error, socket: net.Socket) => socket.destroy());
  const stopPings = pingSessions(sessions);
  await new Promise<void>((resolve, reject) => {
    front.server.once('error', reject);
    front.server.listen(options.port, options.host, () => resolve());
  });
  front.server.on('error', () => {});
  return {
    port: (front.server.address() as net.AddressInfo).port,
    renew: front.renew,
    async close(graceMs) {
      front.server.close();
      stopPings();
      // GOAWAY: calls under way finish, and a session without any ends at once.
      for (const session of sessions) session.close();
      front.endIdle();
      const end = Date.now() + graceMs;
      while (sockets.size > 0 && Date.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        front.endIdle();
      }
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

interface Front {
  readonly server: net.Server;
  readonly http2: net.Server;
  /** Closes connections that no call is using, those of HTTP/2 excepted. */
  endIdle(): void;
  renew(context: tls.SecureContextOptions): void;
}

function secure(context: tls.SecureContextOptions, handler: Handler): Front {
  const mutual = context.ca ? { requestCert: true, rejectUnauthorized: true } : {};
  const server = http2.createSecureServer(
    { ...http2Options, ...http1Options, ...context, ...mutual, minVersion: 'TLSv1.2', allowHTTP1: true },
    handler,
  );
  return {
    server,
    http2: server,
    // Node keeps no account of HTTP/1.1 connections on this kind of server: they end with the grace.
    endIdle: () => {},
    renew: (next) => server.setSecureContext({ ...next, minVersion: 'TLSv1.2' }),
  };
}

/** Looks at a connection's first bytes and hands it to the server that speaks its protocol. */
function cleartext(handler: Handler): Front {
  const http1 = http.createServer(http1Options, handler);
  const h2 = http2.createServer(http2Options, handler);
  http1.on('clientError', (_error, socket) => socket.destroy());
  const undecided = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    undecided.add(socket);
    let got: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), undecidedMs);
    socket.once('close', () => {
      clearTimeout(timer);
      undecided.delete(socket);
    });
    const look = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      got = got.length > 0 ? Buffer.concat([got, chunk]) : chunk;
      const length = Math.min(got.length, preface.length);
      const isHttp2 = got.compare(preface, 0, length, 0, length) === 0;
      if (isHttp2 && length < preface.length) return;
      clearTimeout(timer);
      undecided.delete(socket);
      socket.removeListener('readable', look);
      socket.unshift(got);
      (isHttp2 ? h2 : http1).emit('connection', socket);
    };
    socket.on('readable', look);
  });
  return {
    server,
    http2: h2 as unknown as net.Server,
    endIdle() {
      http1.closeIdleConnections();
      for (const socket of undecided) socket.destroy();
    },
    renew: () => {},
  };
}
