import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { toFrame } from './frames.ts';

const frames = new WeakMap<object, Buffer>();

/**
 * Encodes a response that many calls will return, and returns it. Native gRPC answers with the same bytes each time that a handler
 * returns this very object, so it must not change afterwards.
 */
export function encodeOnce<S extends DescMessage>(schema: S, message: MessageShape<S>): MessageShape<S> {
  frames.set(message, toFrame(toBinary(schema, message)));
  return message;
}

/** Returns the frame of a message that `encodeOnce` returned. */
export function encodedFrame(message: object): Buffer | undefined {
  return frames.get(message);
}
