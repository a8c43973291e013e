import type { ServerHttp2Stream } from 'node:http2';
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Authenticate } from '../interceptors/authenticate.ts';
import { toConnectError } from '../interceptors/errors.ts';
import type { GrpcCall } from './call.ts';
import { decompressMessage } from './compression.ts';
import { type Frame, FrameReader } from './frames.ts';
import type { GrpcMethod } from './method.ts';
import { clientDisconnected, readMessage, readMessages } from './request.ts';
import type { GrpcResponse } from './response.ts';

/** A call, with its stream and what serves it. */
export interface Exchange {
  readonly call: GrpcCall;
  readonly method: GrpcMethod;
  readonly stream: ServerHttp2Stream;
  readonly response: GrpcResponse;
  /** Reserves memory for a message of the request; throws when there is none. */
  readonly reserve: (bytes: number) => void;
  /** Compressed messages of the request are gzip data. */
  readonly isGzip: boolean;
  /** Refuses the call for what its headers say; checked once the caller is known. */
  readonly refusal: ConnectError | undefined;
}

type Response = MessageInitShape<DescMessage>;

/** The reason with which a signal aborts once its call was answered. */
const answered = new ConnectError('the call has ended', Code.Canceled);

/** Serves a call from its headers to its trailers. Never rejects. */
export async function serve(exchange: Exchange, authenticate: Authenticate, log: Logger): Promise<void> {
  const { call, method, response, refusal } = exchange;
  try {
    const admitted = authenticate(call);
    if (admitted) await admitted;
    if (refusal) throw refusal;
    await (method.isUnary ? serveUnary(exchange) : serveStream(exchange));
  } catch (error) {
    response.fail(toConnectError(error, log, method.descriptor.name), call.added.header);
  } finally {
    if (!response.isOpen) log.debug({ path: method.path }, 'the client disconnected during the response');
    call.lifetime.end(answered);
  }
}

async function serveUnary(exchange: Exchange): Promise<void> {
  const { call, method, stream, response, reserve } = exchange;
  const reader = new FrameReader(method.readMaxBytes, reserve);
  const frame = await readMessage(stream, reader, call.lifetime);
  call.message = method.decode(frame.isCompressed ? await decompressed(exchange, frame) : frame.bytes);
  const { message } = (await method.invoke(call)) as { message: Response };
  const { header, trailer } = call.added;
  const sent = response.send(method.encode(message), header, trailer);
  if (sent) await sent;
}

async function serveStream(exchange: Exchange): Promise<void> {
  const { call, method, stream, response, reserve } = exchange;
  const reader = new FrameReader(method.readMaxBytes, reserve);
  call.message = decoded(exchange, readMessages(stream, reader, call.lifetime));
  const { message: messages } = (await method.invoke(call)) as { message: AsyncIterable<Response> };
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      if (await response.write(method.encode(next.value), call.added.header)) continue;
      await iterator.throw?.(clientDisconnected).catch(() => {});
      return;
    }
  } finally {
    // Not awaited: it waits for a handler that may have been left behind by the deadline.
    void iterator.return?.().catch(() => {});
  }
  response.end(call.added.header, call.added.trailer);
}

async function* decoded(exchange: Exchange, frames: AsyncIterable<Frame>) {
  for await (const frame of frames)
    yield exchange.method.decode(frame.isCompressed ? await decompressed(exchange, frame) : frame.bytes);
}

function decompressed({ method, reserve, isGzip }: Exchange, { bytes }: Frame): Promise<Uint8Array> {
  if (!isGzip)
    throw new ConnectError(
      'the request cannot be read: its message is compressed without a grpc-encoding',
      Code.InvalidArgument,
    );
  return decompressMessage(bytes, method.readMaxBytes, reserve);
}
