import type { Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { codeName, observeStream } from '../../../client/traced-calls.ts';
import { principalKey } from '../principal.ts';

/** Logs a line at debug level for every call that ends. */
export function callLogInterceptor(log: Logger): Interceptor {
  return (next) => async (request) => {
    if (!log.isLevelEnabled('debug')) return next(request);
    const startedAt = performance.now();
    const ended = (failure?: string) =>
      log.debug(
        {
          method: request.method.name,
          code: failure ?? 'OK',
          durationMs: Math.round(performance.now() - startedAt),
          caller: request.contextValues.get(principalKey)?.ownerName,
        },
        'a call ended',
      );
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: observeStream(response.message, ended) };
      ended();
      return response;
    } catch (error) {
      ended(codeName(error));
      throw error;
    }
  };
}
