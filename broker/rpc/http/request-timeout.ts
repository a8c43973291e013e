import { constants, type ServerHttp2Stream } from 'node:http2';

export interface RequestTimeouts {
  add(stream: ServerHttp2Stream): void;
  delete(stream: ServerHttp2Stream): void;
  close(): void;
}

/**
 * Ends calls over HTTP/2 whose request has not come to its end within `bodyMs` (Node limits this for HTTP/1.1 only): a client that
 * sends half a message would otherwise keep its place for good. Not for calls that stream their requests.
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
