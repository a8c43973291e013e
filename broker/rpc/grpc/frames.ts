import { Code, ConnectError } from '@connectrpc/connect';

/** Bytes before each message: a flag for compression and the length (gRPC over HTTP/2, Length-Prefixed-Message). */
const headLength = 5;
const compressedFlag = 1;
const nothing = Buffer.alloc(0);

/** Puts the head before an encoded message. */
export function toFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headLength + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, headLength);
  return frame;
}

/** A message of a request as it was received. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly isCompressed: boolean;
}

/** Splits the bytes of a request into its messages. */
export class FrameReader {
  readonly #maxBytes: number;
  readonly #reserve: (bytes: number) => void;
  #head = nothing;
  /** The message that is being read; undefined before its head is complete. */
  #message: Uint8Array | undefined;
  #isCompressed = false;
  #filled = 0;

  /** `maxBytes` limits each message. `reserve` gets the size of each message that does not arrive with its head, and may throw. */
  constructor(maxBytes: number, reserve: (bytes: number) => void = () => {}) {
    this.#maxBytes = maxBytes;
    this.#reserve = reserve;
  }

  /**
   * Takes the next bytes and returns the messages that they complete, as copies. Throws `resource_exhausted` as soon as the head of
   * a message announces too many bytes, and what `reserve` throws.
   */
  read(chunk: Buffer): Frame[] {
    const messages: Frame[] = [];
    for (let rest = chunk; rest.length > 0; ) {
      rest = this.#message ? this.#fill(this.#message, rest) : this.#readHead(rest);
      if (!this.#message || this.#filled < this.#message.length) continue;
      messages.push({ bytes: this.#message, isCompressed: this.#isCompressed });
      this.#message = undefined;
    }
    return messages;
  }

  /** Throws `invalid_argument` when the request ended within a message. */
  end(): void {
    if (this.#message || this.#head.length > 0)
      throw new ConnectError('protocol error: incomplete envelope', Code.InvalidArgument);
  }

  #fill(message: Uint8Array, chunk: Buffer): Buffer {
    const part = chunk.subarray(0, message.length - this.#filled);
    message.set(part, this.#filled);
    this.#filled += part.length;
    return chunk.subarray(part.length);
  }

  #readHead(chunk: Buffer): Buffer {
    const head = this.#head.length > 0 ? Buffer.concat([this.#head, chunk]) : chunk;
    if (head.length < headLength) {
      this.#head = Buffer.from(head);
      return head.subarray(head.length);
    }
    const length = head.readUInt32BE(1);
    if (length > this.#maxBytes)
      throw new ConnectError(
        `message size ${length} is larger than configured readMaxBytes ${this.#maxBytes}`,
        Code.ResourceExhausted,
      );
    this.#isCompressed = ((head[0] ?? 0) & compressedFlag) !== 0;
    const rest = head.subarray(headLength);
    if (rest.length < length) this.#reserve(length);
    this.#head = nothing;
    this.#message = new Uint8Array(length);
    this.#filled = 0;
    return rest;
  }
}
