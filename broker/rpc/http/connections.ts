import { readFileSync } from 'node:fs';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { connectionOf } from '../origin.ts';

/** Limits of a port's connections. */
export interface ConnectionLimits {
  readonly total: number;
  /** Maximum number of connections of one address; Infinity behind proxies, which all share theirs. */
  readonly perAddress: number;
  /** Time after which an HTTP/2 connection without calls is closed, if it never presented a valid key. */
  readonly idleMs: number;
}

/** The open connections of a port. */
export interface Connections {
  readonly sockets: ReadonlySet<Socket>;
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  /** Counts a connection. If there are too many, another idle one without a key is closed, or else this one. */
  add(socket: Socket): void;
  addSession(session: ServerHttp2Session): void;
  /** Counts a call of a session until its stream closes. */
  addStream(session: ServerHttp2Session, stream: ServerHttp2Stream): void;
  close(): void;
}

const maxConnections = 20_000;
/** File descriptors for the database, files, metrics and connections that are closing. */
const reservedDescriptors = 512;
const minConnections = 64;
/** Share of the connections that one address may have. */
const addressShare = 1 / 2;
const defaultIdleMs = 60_000;

/** Returns limits that leave descriptors for the database. */
export function connectionLimits(isBehindProxy: boolean): ConnectionLimits {
  const total = Math.max(Math.min(maxConnections, maxDescriptors() - reservedDescriptors), minConnections);
  const perAddress = isBehindProxy ? Number.POSITIVE_INFINITY : Math.ceil(total * addressShare);
  return { total, perAddress, idleMs: defaultIdleMs };
}

/** Returns the process's limit of open files on Linux, where Node raises it to the highest allowed; Infinity elsewhere. */
function maxDescriptors(): number {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Starts counting a port's connections. */
export function createConnections(limits: () => ConnectionLimits): Connections {
  const sockets = new Set<Socket>();
  const countByAddress = new Map<string, number>();
  const sessions = new Set<ServerHttp2Session>();
  /** Sessions without calls, those that are idle longest first. */
  const idleSince = new Map<ServerHttp2Session, number>();
  const openStreams = new WeakMap<ServerHttp2Session, number>();
  const isKnown = (session: ServerHttp2Session) =>
    connectionOf(session, () => session.socket?.remoteAddress).principals.size > 0;

  const closeIdle = () => {
    const before = Date.now() - limits().idleMs;
    for (const [session, since] of idleSince) {
      if (since > before) return;
      if (!isKnown(session)) session.close();
    }
  };
  const timer = setInterval(closeIdle, limits().idleMs / 4);
  timer.unref();

  const count = (address: string, by: 1 | -1) => {
    const left = (countByAddress.get(address) ?? 0) + by;
    if (left > 0) countByAddress.set(address, left);
    else countByAddress.delete(address);
  };
  const makeRoom = (): boolean => {
    for (const session of idleSince.keys()) {
      if (isKnown(session)) continue;
      session.destroy();
      return true;
    }
    return false;
  };
  return {
    sockets,
    sessions,
    add(socket) {
      const address = socket.remoteAddress ?? '';
      const { total, perAddress } = limits();
      if ((countByAddress.get(address) ?? 0) >= perAddress || (sockets.size >= total && !makeRoom())) {
        socket.destroy();
        return;
      }
      sockets.add(socket);
      count(address, 1);
      socket.once('close', () => {
        sockets.delete(socket);
        count(address, -1);
      });
    },
    addSession(session) {
      sessions.add(session);
      idleSince.set(session, Date.now());
      session.once('close', () => {
        sessions.delete(session);
        idleSince.delete(session);
      });
    },
    addStream(session, stream) {
      openStreams.set(session, (openStreams.get(session) ?? 0) + 1);
      idleSince.delete(session);
      stream.once('close', () => {
        const left = (openStreams.get(session) ?? 1) - 1;
        openStreams.set(session, left);
        if (left === 0 && sessions.has(session)) idleSince.set(session, Date.now());
      });
    },
    close: () => clearInterval(timer),
  };
}
