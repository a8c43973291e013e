import {
  create,
  type DescMessage,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { type Method, pathOf } from '../services.ts';
import type { GrpcCall } from './call.ts';
import { encodedFrame } from './encoded.ts';
import { toFrame } from './frames.ts';

type Next = Parameters<Interceptor>[0];
type Implementation = (request: unknown, call: GrpcCall) => never;

/** A method as native gRPC serves it: its implementation behind the interceptors, composed once. */
export interface GrpcMethod extends Method {
  readonly path: string;
  readonly isUnary: boolean;
  /** Throws `invalid_argument` for bytes that are no request of the method. */
  decode(bytes: Uint8Array): Message;
  /** Throws `resource_exhausted` when the response is too large. */
  encode(response: MessageInitShape<DescMessage>): Buffer;
  /** Runs the interceptors and the implementation on `call.message`. Rejects with a ConnectError. */
  invoke(call: GrpcCall): Promise<unknown>;
}

/** Prepares a method. The first of the interceptors is the outermost, as in connect-node. */
export function toGrpcMethod(method: Method, interceptors: readonly Interceptor[]): GrpcMethod {
  const { descriptor, writeMaxBytes } = method;
  const implementation = method.implementation as Implementation;
  const last = lastStep(descriptor.methodKind, implementation) as unknown as Next;
  const invoke = interceptors.reduceRight((next, interceptor) => interceptor(next), last);
  return {
    ...method,
    path: pathOf(descriptor),
    isUnary: descriptor.methodKind === 'unary',
    decode(bytes) {
      try {
        return fromBinary(descriptor.input, bytes);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new ConnectError(`the request cannot be read: parse binary: ${reason}`, Code.InvalidArgument);
      }
    },
    encode(response) {
      const known = encodedFrame(response);
      if (known) return known;
      const bytes = toBinary(descriptor.output, create(descriptor.output, response));
      if (bytes.length <= writeMaxBytes) return toFrame(bytes);
      throw new ConnectError(
        `message size ${bytes.length} is larger than configured writeMaxBytes ${writeMaxBytes}`,
        Code.ResourceExhausted,
      );
    },
    invoke: (call) => invoke(call as never),
  };
}

/** Calls the implementation: the innermost step, after all interceptors. */
function lastStep(kind: Method['descriptor']['methodKind'], implementation: Implementation) {
  switch (kind) {
    case 'unary':
      return async (call: GrpcCall) => ({ stream: false, message: await implementation(call.message, call) });
    case 'server_streaming':
      return async (call: GrpcCall) => ({
        stream: true,
        message: implementation(await onlyOne(call.message as AsyncIterable<Message>), call),
      });
    case 'client_streaming':
      return async (call: GrpcCall) => ({
        stream: true,
        message: one(implementation(call.message, call)),
      });
    case 'bidi_streaming':
      return async (call: GrpcCall) => ({
        stream: true,
        message: implementation(call.message, call),
      });
  }
}

async function onlyOne(messages: AsyncIterable<Message>): Promise<Message> {
  let only: Message | undefined;
  for await (const message of messages) {
    if (only) throw protocolError('received extra input message');
    only = message;
  }
  if (!only) throw protocolError('missing input message');
  return only;
}

async function* one(response: unknown): AsyncGenerator<unknown> {
  yield await response;
}

function protocolError(what: string): ConnectError {
  return new ConnectError(`protocol error: ${what} for server-streaming method`, Code.Unimplemented);
}
