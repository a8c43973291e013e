import { constants, type ServerHttp2Stream } from 'node:http2';

/** Streams whose requests have to arrive in time. */
export interface RequestTimeouts {
  /** Resets the stream unless its request is complete within `timeoutMs`. */
  add(stream: ServerHttp2Stream, timeoutMs: number): void;
  delete(stream: ServerHttp2Stream): void;
  close(): void;
}

/**
 * Resets HTTP/2 streams whose request does not arrive in time; Node has such a limit for HTTP/1.1 only. Without it, a client that
 * sends half a message keeps its place forever. Streams are checked every `checkMs`. Calls that stream their requests must not be added.
 */
export function createRequestTimeouts(checkMs: number): RequestTimeouts {
  const deadlines = new Map<ServerHttp2Stream, number>();
  const checkAll = () => {
    const now = Date.now();
    for (const [stream, deadline] of deadlines) {
      if (stream.readableEnded) deadlines.delete(stream);
      else if (now > deadline) stream.close(constants.NGHTTP2_CANCEL);
    }
  };
  const timer = setInterval(checkAll, checkMs);
  timer.unref();
  return {
    add: (stream, timeoutMs) => void deadlines.set(stream, Date.now() + timeoutMs),
    delete: (stream) => void deadlines.delete(stream),
    close: () => clearInterval(timer),
  };
}
