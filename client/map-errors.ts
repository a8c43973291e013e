import type { Interceptor } from '@connectrpc/connect';

type Request = Parameters<ReturnType<Interceptor>>[0];

/** Lets a call fail, at once or in the middle of its stream, with what `map` makes of the error. */
export function mapErrors(map: (error: unknown, request: Request) => unknown): Interceptor {
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream
        ? { ...response, message: mapped(response.message, (error) => map(error, request)) }
        : response;
    } catch (error) {
      throw map(error, request);
    }
  };
}

async function* mapped<T>(messages: AsyncIterable<T>, map: (error: unknown) => unknown): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw map(error);
  }
}
