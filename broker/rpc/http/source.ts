import { isIP } from 'node:net';
import { type ContextValues, createContextKey, createContextValues, type HandlerContext } from '@connectrpc/connect';
import type { Handler } from './port.ts';

const sourceKey = createContextKey('', { description: 'where the call came from' });

/** The address that a call came from. */
export function sourceOf(context: Pick<HandlerContext, 'values'>): string {
  return context.values.get(sourceKey);
}

/**
 * Notes where a request came from: the connection's other end, or, behind `trusted` proxies, the address that the outermost of
 * them saw. What a client itself writes into X-Forwarded-For stands further left and is never looked at; what is no address was
 * not written by a proxy that does its work, and counts for nothing.
 */
export function noteSource(trusted: () => number): (request: Parameters<Handler>[0]) => ContextValues {
  return (request) => {
    const trustedProxies = trusted();
    const peer = request.socket?.remoteAddress ?? '';
    const forwarded = trustedProxies > 0 ? [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',') : [];
    return createContextValues().set(sourceKey, addressIn(forwarded.at(-trustedProxies)) ?? addressIn(peer) ?? '');
  };
}

/** An address without what may stand around it: brackets and a port, the zone of a link, the mark of IPv4 in IPv6. */
function addressIn(text = ''): string | undefined {
  const bare = text
    .trim()
    .replace(/^\[(.*)\](:\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1')
    .replace(/%.*$/s, '')
    .replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(bare) ? bare : undefined;
}
