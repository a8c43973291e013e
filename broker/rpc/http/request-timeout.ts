import { constants, type ServerHttp2Stream } from 'node:http2';

export interface Bodies {
  add(stream: ServerHttp2Stream): void;
  delete(stream: ServerHttp2Stream): void;
  close(): void;
}

/**
 * Ends calls over HTTP/2 whose request has not come to its end within `bodyMs` (Node limits this for HTTP/1.1 only): a client that
 * sends half a message would otherwise keep its place for good. Not for calls that stream their requests.
 */
export function limitBodies(bodyMs: number): Bodies {
  const since = new Map<ServerHttp2Stream, number>();
  const look = () => {
    const now = Date.now();
    for (const [stream, began] of since) {
      if (stream.readableEnded) since.delete(stream);
      else if (now - began > bodyMs) stream.close(constants.NGHTTP2_CANCEL);
    }
  };
  const timer = setInterval(look, bodyMs / 8);
  timer.unref();
  return {
    add: (stream) => void since.set(stream, Date.now()),
    delete: (stream) => void since.delete(stream),
    close: () => clearInterval(timer),
  };
}
