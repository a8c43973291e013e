import { Readable } from 'node:stream';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import {
  encodeEnvelope,
  type UniversalServerRequest,
  type UniversalServerResponse,
} from '@connectrpc/connect/protocol';
import { codeToHttpStatus, errorFromJsonBytes, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { trailerFlag, trailerParse, trailerSerialize } from '@connectrpc/connect/protocol-grpc-web';

/** Messages of connect-node's INTERNAL errors for bytes that are no message of the call. */
const malformedMessage = /^(parse binary: |received compressed envelope)/;

/**
 * Maps the error for a request that cannot be decoded to INVALID_ARGUMENT, like all other bad input; returns other errors unchanged.
 * gRPC libraries answer INTERNAL (grpc.io, status codes), which callers and alerts would take for a defect of the broker.
 */
export function mapMalformedRequest(error: ConnectError): ConnectError {
  if (error.code !== Code.Internal || !malformedMessage.test(error.rawMessage)) return error;
  return new ConnectError(`the request cannot be read: ${error.rawMessage}`, Code.InvalidArgument);
}

/** Maps the errors of every unary method: connect-node decodes their requests before any interceptor runs. */
export function refuseMalformedRequests({ handlers }: ConnectRouter): void {
  for (const [at, handler] of handlers.entries()) {
    if (handler.method.methodKind !== 'unary') continue;
    const answer = async (request: UniversalServerRequest) => mapResponse(await handler(request));
    handlers[at] = Object.assign(answer, handler);
  }
}

/** gRPC has its status in trailers, gRPC-Web in a last frame, the Connect protocol in the HTTP status and a JSON body. */
async function mapResponse(answer: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { status, header, body, trailer } = answer;
  if (trailer !== undefined) mapTrailer(trailer);
  if (body === undefined) return answer;
  if (header?.get('content-type')?.startsWith('application/grpc-web')) return { ...answer, body: mapWebFrames(body) };
  return status === codeToHttpStatus(Code.Internal) ? mapJsonError(answer, body) : answer;
}

function mapTrailer(trailer: Headers): boolean {
  if (trailer.get('grpc-status') !== String(Code.Internal)) return false;
  const error = new ConnectError(decodeURIComponent(trailer.get('grpc-message') ?? ''), Code.Internal);
  const readable = mapMalformedRequest(error);
  if (readable !== error) setTrailerStatus(trailer, readable);
  return readable !== error;
}

async function* mapWebFrames(frames: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const frame of frames) {
    const trailer = frame[0] === trailerFlag ? trailerParse(frame.subarray(5)) : undefined;
    yield trailer && mapTrailer(trailer) ? encodeEnvelope(trailerFlag, trailerSerialize(trailer)) : frame;
  }
}

async function mapJsonError(answer: UniversalServerResponse, body: AsyncIterable<Uint8Array>) {
  const error = errorFromJsonBytes(Buffer.concat(await Array.fromAsync(body)), undefined, new ConnectError(''));
  const readable = mapMalformedRequest(error);
  const bytes = errorToJsonBytes(readable, undefined);
  const header = new Headers(answer.header);
  header.set('content-length', String(bytes.byteLength));
  return { ...answer, status: codeToHttpStatus(readable.code), header, body: Readable.from([bytes]) };
}
