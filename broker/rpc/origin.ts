import type { IncomingHttpHeaders } from 'node:http';
import type { ServerHttp2Session } from 'node:http2';
import { isIP } from 'node:net';
import { type ContextValues, createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { Principal } from '../access/principal.ts';

/** The address that a call came from, and the credentials that it carries. */
export interface Origin {
  /** Address of the caller; empty when it is not known. */
  readonly source: string;
  /** The header `authorization` as it was sent. */
  readonly authorization: string | undefined;
  readonly connection: Connection;
}

/** State that lasts as long as a connection. */
export interface Connection {
  /** Address of the connection's other end; empty when it is not known. */
  readonly peer: string;
  /** The principals that calls of this connection were authenticated as, by their exact header `authorization`. */
  readonly principals: Map<string, Principal>;
  /** Widens the windows of HTTP/2 once a caller is known: before, each call can send its first 64 KiB only. */
  widen(): void;
}

const streamWindowBytes = 256 << 10;
/** As wide as that of several streams: one slow reader does not hold up the others. */
const connectionWindowBytes = 4 << 20;

const originKey = createContextKey<Origin>(
  { source: '', authorization: undefined, connection: { peer: '', principals: new Map(), widen: () => {} } },
  { description: 'where the call came from' },
);

/** Returns where a call came from. */
export function originOf(context: Pick<HandlerContext, 'values'>): Origin {
  return context.values.get(originKey);
}

/** Returns the address that a call came from. */
export function sourceOf(context: Pick<HandlerContext, 'values'>): string {
  return originOf(context).source;
}

/** Records where a call came from. */
export function setOrigin(values: ContextValues, origin: Origin): ContextValues {
  return values.set(originKey, origin);
}

const connections = new WeakMap<object, Connection>();

/** Returns the state of the connection that an HTTP/2 session or a socket stands for. */
export function connectionOf(carrier: object, remoteAddress: () => string | undefined): Connection {
  const known = connections.get(carrier);
  if (known) return known;
  const connection = {
    peer: parseAddress(remoteAddress()) ?? '',
    principals: new Map<string, Principal>(),
    widen() {
      if (!isSession(carrier) || carrier.destroyed) return;
      carrier.setLocalWindowSize(connectionWindowBytes);
      carrier.settings({ initialWindowSize: streamWindowBytes });
    },
  };
  connections.set(carrier, connection);
  return connection;
}

function isSession(carrier: object): carrier is ServerHttp2Session {
  return 'setLocalWindowSize' in carrier;
}

/**
 * Tells where a request came from: the peer of the connection or, behind `trusted` proxies, the address that the outermost of them
 * saw. Entries that the client itself wrote into X-Forwarded-For stand further left and are never read; an entry that is no address
 * was not written by a working proxy and is ignored.
 */
export function createOriginResolver(
  trusted: () => number,
): (headers: IncomingHttpHeaders, connection: Connection) => Origin {
  return (headers, connection) => {
    const trustedProxies = trusted();
    const forwarded = trustedProxies > 0 ? [headers['x-forwarded-for'] ?? []].flat().join(',').split(',') : [];
    return {
      source: parseAddress(forwarded.at(-trustedProxies)) ?? connection.peer,
      authorization: headers.authorization,
      connection,
    };
  };
}

/** Strips brackets, port, IPv6 zone and the IPv4-mapped prefix; undefined for what is no address. */
function parseAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const bare = text
    .trim()
    .replace(/^\[(.*)\](:\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1')
    .replace(/%.*$/s, '')
    .replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(bare) ? bare : undefined;
}
