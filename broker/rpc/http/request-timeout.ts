import { constants, type ServerHttp2Stream } from 'node:http2';

/** Streams whose requests have to arrive in time. */
export interface RequestTimeouts {
  add(stream: ServerHttp2Stream): void;
  delete(stream: ServerHttp2Stream): void;
  close(): void;
}

/**
 * Resets HTTP/2 streams whose request is not complete within `requestTimeoutMs`; Node has such a limit for HTTP/1.1 only. Without it,
 * a client that sends half a message keeps its place forever. Calls that stream their requests must not be added.
 */
export function createRequestTimeouts(requestTimeoutMs: number): RequestTimeouts {
  const startedAt = new Map<ServerHttp2Stream, number>();
  const checkAll = () => {
    const now = Date.now();
    for (const [stream, began] of startedAt) {
      if (stream.readableEnded) startedAt.delete(stream);
      else if (now - began > requestTimeoutMs) stream.close(constants.NGHTTP2_CANCEL);
    }
  };
  const timer = setInterval(checkAll, requestTimeoutMs / 8);
  timer.unref();
  return {
    add: (stream) => void startedAt.set(stream, Date.now()),
    delete: (stream) => void startedAt.delete(stream),
    close: () => clearInterval(timer),
  };
}
