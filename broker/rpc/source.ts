import { type ContextValues, createContextKey, createContextValues, type HandlerContext } from '@connectrpc/connect';
import type { Handler } from './port.ts';

const sourceKey = createContextKey('', { description: 'where the call came from' });

/** The address that a call came from. */
export function sourceOf(context: Pick<HandlerContext, 'values'>): string {
  return context.values.get(sourceKey);
}

/**
 * Notes where a request came from: the connection's other end, or, behind `trusted` proxies, the address that the outermost of
 * them saw. What a client itself writes into X-Forwarded-For stands further left and is never looked at.
 */
export function noteSource(trusted: () => number): (request: Parameters<Handler>[0]) => ContextValues {
  return (request) => {
    const trustedProxies = trusted();
    const peer = request.socket?.remoteAddress ?? '';
    const forwarded = trustedProxies > 0 ? [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',') : [];
    const seen = forwarded.at(-trustedProxies)?.trim();
    return createContextValues().set(sourceKey, (seen || peer).replace(/^::ffff:/, '').slice(0, 64));
  };
}
