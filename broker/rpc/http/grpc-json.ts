import type { Handler } from './port.ts';
import { sendText } from './send-text.ts';

/**
 * Refuses gRPC and gRPC-Web with JSON messages, which no client of the broker speaks: an error that repeats an unpaired surrogate of
 * such a message cannot be written into a trailer, so the call would never be answered. JSON belongs to the Connect protocol.
 */
export function rejectGrpcJson(next: Handler): Handler {
  return (request, response) => {
    if (!/^application\/grpc(-web)?\+json/i.test(request.headers['content-type'] ?? '')) return next(request, response);
    return sendText(response, 415, 'gRPC messages are protobuf here; for JSON, use the Connect protocol');
  };
}
