import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { Code, ConnectError } from '@connectrpc/connect';

const decompressGzip = promisify(gunzip);

/** The compressions that requests may use, as `grpc-accept-encoding` names them. */
export const acceptedEncodings = 'identity,gzip';
/** Begins gzip data (RFC 1952). */
const magic = Buffer.from([0x1f, 0x8b]);
/** A header and a trailer around nothing. */
const minGzipBytes = 18;
/** Bytes at the end of gzip data that hold the size of the content (RFC 1952, ISIZE). */
const sizeBytes = 4;

/** Answers whether a request may use this compression. */
export function isAcceptedEncoding(encoding: string): boolean {
  return acceptedEncodings.split(',').includes(encoding);
}

/**
 * Decompresses a message of gzip data to at most `maxBytes`. `reserve` gets the size that the data announces before anything is
 * decompressed, and may throw. Rejects with `resource_exhausted` when the message is too large, and with `invalid_argument` when it is
 * no gzip data, or larger than it announces.
 */
export async function decompressMessage(
  bytes: Uint8Array,
  maxBytes: number,
  reserve: (bytes: number) => void,
): Promise<Uint8Array> {
  if (bytes.length === 0) return bytes;
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (data.length < minGzipBytes || !data.subarray(0, 2).equals(magic)) throw notGzip('incorrect header');
  const size = data.readUInt32LE(data.length - sizeBytes);
  if (size > maxBytes)
    throw new ConnectError(
      `message size ${size} is larger than configured readMaxBytes ${maxBytes}`,
      Code.ResourceExhausted,
    );
  reserve(size);
  try {
    return await decompressGzip(data, { maxOutputLength: Math.max(size, 1) });
  } catch (error) {
    throw notGzip(error instanceof Error ? error.message : String(error));
  }
}

function notGzip(reason: string): ConnectError {
  return new ConnectError(
    `the request cannot be read: its message is not valid gzip data: ${reason}`,
    Code.InvalidArgument,
  );
}
