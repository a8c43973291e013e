import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

type Request = Parameters<ReturnType<Interceptor>>[0];

/** Maps the error of a failed call, also in the middle of its stream. */
export function mapErrors(map: (error: unknown, request: Request) => unknown): Interceptor {
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream
        ? { ...response, message: mapStreamErrors(response.message, (error) => map(error, request)) }
        : response;
    } catch (error) {
      throw map(error, request);
    }
  };
}

async function* mapStreamErrors<T>(messages: AsyncIterable<T>, map: (error: unknown) => unknown): AsyncIterable<T> {
  try {
    for await (const message of messages) {
      try {
        yield message;
      } catch (error) {
        // The RPC library throws into the generator when it cannot write to the caller, so the call itself did not fail.
        throw new ConnectError('the caller disconnected', Code.Canceled, undefined, undefined, error);
      }
    }
  } catch (error) {
    throw map(error);
  }
}
