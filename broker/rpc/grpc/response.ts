import {
  constants,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2';
import type { ConnectError } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { responseTimeoutMs } from '../services.ts';

const contentType = 'application/grpc+proto';
const okTrailers: OutgoingHttpHeaders = { 'grpc-status': '0' };
/** Node adds a `date` otherwise, which no client of gRPC reads. */
const messagesFollow = { waitForTrailers: true, sendDate: false } as ServerStreamResponseOptions;
const trailersOnly = { endStream: true, sendDate: false } as ServerStreamResponseOptions;

/** Messages beyond this size do not fit into a connection's buffers. */
const largeBytes = 64 << 10;

/** The response of a gRPC call. All of its methods do nothing once the stream is closed. */
export class GrpcResponse {
  readonly #stream: ServerHttp2Stream;
  readonly #requestId: string;
  #trailers = okTrailers;

  constructor(stream: ServerHttp2Stream, requestId: string) {
    this.#stream = stream;
    this.#requestId = requestId;
  }

  get isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }

  /** Sends the only message of a response, and ends it. For a large one, it resolves when the client has taken it or is gone. */
  send(frame: Buffer, added: Headers | undefined, trailers: Headers | undefined): Promise<void> | undefined {
    if (!this.isOpen) return undefined;
    this.#open(added);
    this.#setTrailers(trailers);
    this.#stream.end(frame);
    return frame.length > largeBytes ? flushed(this.#stream) : undefined;
  }

  /** Sends one message of several; resolves, when the client has taken enough of them, whether it is still there. */
  async write(frame: Buffer, added: Headers | undefined): Promise<boolean> {
    if (!this.isOpen) return false;
    if (!this.#stream.headersSent) this.#open(added);
    if (!this.#stream.write(frame)) await drained(this.#stream);
    return this.isOpen;
  }

  /** Ends a response of several messages. */
  end(added: Headers | undefined, trailers: Headers | undefined): void {
    if (!this.isOpen) return;
    if (!this.#stream.headersSent) this.#open(added);
    this.#setTrailers(trailers);
    this.#stream.end();
  }

  /** Ends the response with an error: in trailers, or in the headers when no message was sent. */
  fail(error: ConnectError, added: Headers | undefined): void {
    if (!this.isOpen) return;
    const trailers = setTrailerStatus(new Headers(), error);
    if (this.#stream.headersSent) {
      this.#trailers = Object.fromEntries(trailers);
      this.#stream.end();
      return;
    }
    this.#stream.respond([...this.#head(added), ...[...trailers].flat()], trailersOnly);
    this.#stream.once('finish', () => this.#refuseRest());
  }

  #open(added: Headers | undefined): void {
    this.#stream.respond(this.#head(added), messagesFollow);
    this.#stream.once('wantTrailers', () => {
      this.#stream.sendTrailers(this.#trailers);
      if (!this.#stream.readableEnded) this.#refuseRest();
    });
  }

  #head(added: Headers | undefined): string[] {
    const head = [':status', '200', 'content-type', contentType, 'x-request-id', this.#requestId];
    if (added) head.push(...[...added].flat());
    return head;
  }

  #setTrailers(trailers: Headers | undefined): void {
    if (trailers) this.#trailers = { ...Object.fromEntries(trailers), ...okTrailers };
  }

  /** Has the client stop sending a request that is answered already (RFC 9113, section 8.1). */
  #refuseRest(): void {
    this.#stream.resume();
    // The trailers leave in an immediate, too: a stream that is reset before would lose them.
    setImmediate(() => {
      if (this.isOpen && !this.#stream.readableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }
}

/** Resolves when a stream has sent all of its response. A client that does not read in time is cut off. */
function flushed(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), responseTimeoutMs);
    const settle = () => {
      clearTimeout(timer);
      resolve();
    };
    stream.once('finish', settle);
    stream.once('close', settle);
  });
}

function drained(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      stream.off('drain', settle);
      stream.off('close', settle);
      resolve();
    };
    stream.on('drain', settle);
    stream.on('close', settle);
  });
}
