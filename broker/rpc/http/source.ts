import { isIP, isIPv6 } from 'node:net';
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
export function createSourceResolver(trusted: () => number): (request: Parameters<Handler>[0]) => ContextValues {
  return (request) => {
    const trustedProxies = trusted();
    const peer = request.socket?.remoteAddress ?? '';
    const forwarded = trustedProxies > 0 ? [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',') : [];
    return createContextValues().set(sourceKey, parseAddress(forwarded.at(-trustedProxies)) ?? parseAddress(peer) ?? '');
  };
}

/** Whose address it is, for limits: of IPv6 the network of 64 bits, which one caller has as a whole. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [before = [], after = []] = written.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const groups = [...before, ...Array(8 - before.length - after.length).fill('0'), ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** An address without what may stand around it: brackets and a port, the zone of a link, the mark of IPv4 in IPv6. */
function parseAddress(text = ''): string | undefined {
  const bare = text
    .trim()
    .replace(/^\[(.*)\](:\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1')
    .replace(/%.*$/s, '')
    .replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(bare) ? bare : undefined;
}
