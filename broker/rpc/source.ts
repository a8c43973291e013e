import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { type ContextValues, createContextKey, createContextValues, type HandlerContext } from '@connectrpc/connect';

const sourceKey = createContextKey('', { description: 'the address of the caller' });

/** Returns the address that a call came from. */
export function sourceOf(context: Pick<HandlerContext, 'values'>): string {
  return context.values.get(sourceKey);
}

/** What tells where a request came from. */
export interface RequestOrigin {
  readonly headers: IncomingHttpHeaders;
  readonly socket?: { readonly remoteAddress?: string | undefined } | undefined;
}

/**
 * Records where a request came from: the peer of the connection or, behind `trusted` proxies, the address that the outermost of them
 * saw. Entries that the client itself wrote into X-Forwarded-For stand further left and are never read; an entry that is no address
 * was not written by a working proxy and is ignored.
 */
export function createSourceResolver(trusted: () => number): (request: RequestOrigin) => ContextValues {
  return (request) => {
    const trustedProxies = trusted();
    const peer = request.socket?.remoteAddress ?? '';
    const forwarded = trustedProxies > 0 ? [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',') : [];
    return createContextValues().set(
      sourceKey,
      parseAddress(forwarded.at(-trustedProxies)) ?? parseAddress(peer) ?? '',
    );
  };
}

/** Strips brackets, port, IPv6 zone and the IPv4-mapped prefix; undefined for what is no address. */
function parseAddress(text = ''): string | undefined {
  const bare = text
    .trim()
    .replace(/^\[(.*)\](:\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1')
    .replace(/%.*$/s, '')
    .replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(bare) ? bare : undefined;
}
