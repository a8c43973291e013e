import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Handler } from './port.ts';

/**
 * Reports a failed write as an aborted call, and logs it at debug level. connect-node ignores such an abort; for other errors of a
 * broken connection it prints the stack to stderr, past the log.
 */
export function handleClientAbort(next: Handler, log: Logger): Handler {
  return (request, response) => {
    const write = response.write.bind(response) as Write;
    const writeOn: Write = (chunk, encoding, written) =>
      write(chunk, encoding, (error) => {
        if (error)
          log.debug({ path: request.url, reason: error.message }, 'the client disconnected during the response');
        written?.(error && new ConnectError('the client disconnected', Code.Aborted, undefined, undefined, error));
      });
    response.write = writeOn as typeof response.write;
    next(request, response);
  };
}

/** The signature of `write` that connect-node uses with both HTTP versions. */
type Write = (chunk: Uint8Array, encoding: BufferEncoding, written?: (error?: Error | null) => void) => boolean;
