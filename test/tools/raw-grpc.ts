import type * as http2 from 'node:http2';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import type { ConnectError } from '@connectrpc/connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';

/** A call of gRPC of which a test says every byte. */
export interface RawCall {
  readonly stream: http2.ClientHttp2Stream;
  /** Resolves once the stream is closed. */
  readonly answer: Promise<RawAnswer>;
}

export interface RawAnswer {
  readonly headers: http2.IncomingHttpHeaders;
  /** Undefined when the status came in the headers. */
  readonly trailers: http2.IncomingHttpHeaders | undefined;
  readonly body: Buffer;
  /** Code of the RST_STREAM frame, or 0. */
  readonly rstCode: number;
  /** `grpc-status`, wherever it came. */
  readonly status: number;
  /** The error that the status stands for; undefined for success. */
  readonly error: ConnectError | undefined;
}

/** Starts a call; the request is for the test to write to `stream`. */
export function rawCall(
  session: http2.ClientHttp2Session,
  path: string,
  headers: http2.OutgoingHttpHeaders = {},
): RawCall {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  let answered: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders | undefined;
  const body: Buffer[] = [];
  stream.on('response', (got) => {
    answered = got;
  });
  stream.on('trailers', (got) => {
    trailers = got;
  });
  stream.on('data', (chunk: Buffer) => body.push(chunk));
  stream.on('error', () => {});
  const answer = new Promise<RawAnswer>((resolve) =>
    stream.once('close', () => {
      const last = trailers ?? answered;
      resolve({
        headers: answered,
        trailers,
        body: Buffer.concat(body),
        rstCode: stream.rstCode ?? 0,
        status: Number(last['grpc-status'] ?? Number.NaN),
        error: findTrailerError(new Headers(plain(last))),
      });
    }),
  );
  return { stream, answer };
}

function plain(headers: http2.IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') ? [] : [[name, String(value)] as [string, string]],
  );
}

/** A message in its frame. */
export function framed<S extends DescMessage>(schema: S, init: MessageInitShape<S>): Buffer {
  return frame(toBinary(schema, create(schema, init)));
}

/** Bytes in a frame, with these flags. */
export function frame(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The messages of an answer. */
export function messagesOf<S extends DescMessage>(schema: S, { body }: RawAnswer): MessageShape<S>[] {
  const messages: MessageShape<S>[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(fromBinary(schema, body.subarray(at + 5, end)));
    at = end;
  }
  return messages;
}

/** Decodes binary metadata. */
export function decodeBinary(header: string | string[] | undefined): Uint8Array {
  return base64Decode(String(header ?? ''));
}
