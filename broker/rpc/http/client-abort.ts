import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Handler } from './port.ts';

/**
 * Ends an answer whose caller has left while it was written as an abort. The adapter takes that for what it is; of most other errors
 * of a broken connection it would print the stack, past the log.
 */
export function handleClientAbort(next: Handler, log: Logger): Handler {
  return (request, response) => {
    const write = response.write.bind(response) as Write;
    const writeOn: Write = (chunk, encoding, written) =>
      write(chunk, encoding, (error) => {
        if (error) log.debug({ path: request.url, reason: error.message }, 'a caller left while it was answered');
        written?.(error && new ConnectError('the caller has left', Code.Aborted, undefined, undefined, error));
      });
    response.write = writeOn as typeof response.write;
    next(request, response);
  };
}

/** How the adapter writes, with both versions of the protocol. */
type Write = (chunk: Uint8Array, encoding: BufferEncoding, written?: (error?: Error | null) => void) => boolean;
