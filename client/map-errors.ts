import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

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
    for await (const message of messages) {
      try {
        yield message;
      } catch (error) {
        // Thrown in from outside: a server's library does so when it cannot write to the caller. No fault of the call.
        throw new ConnectError('the caller has left', Code.Canceled, undefined, undefined, error);
      }
    }
  } catch (error) {
    throw map(error);
  }
}
